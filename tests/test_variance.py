"""What a score owes to which chance: simulated experiments whose parts are known, and runs that draw their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune import Frozen, Full, InputError, Recipe, Split, compare, grid, paired, run
from finetune.report.components import variances
from finetune.system import System, right, validated
from finetune.tuning import tune
from finetune.variance import components, crossed_error, of_choice


def test_each_part_comes_out_as_large_as_it_was_put_in() -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        item_N = rng.normal(0, 1.0, size=400)
        draw_D11, seed_DS1 = rng.normal(0, 0.05, size=(5, 1, 1)), rng.normal(0, 0.03, size=(5, 4, 1))
        each = components(item_N + draw_D11 + seed_DS1 + rng.normal(0, 0.6, size=(5, 4, 400)))
        assert each.seeds is not None
        assert each.draws is not None
        found.append((each.items**2, each.seeds**2, each.draws**2))
    items, seeds, draws = np.sqrt(np.mean(found, axis=0))
    assert items == pytest.approx((1 + 0.6**2) ** 0.5 / 20, rel=0.05)  # of 400 items, which each run takes its own way
    assert seeds == pytest.approx(0.03, rel=0.15)
    assert draws == pytest.approx(0.05, rel=0.15)


def test_the_parts_are_together_what_runs_with_nothing_in_common_differ_by() -> None:
    rng, means, parts = np.random.default_rng(0), [], []
    for _ in range(3000):
        seed_DS1, draw_D11 = rng.normal(0, 0.2, size=(3, 3, 1)), rng.normal(0, 0.2, size=(3, 1, 1))
        scores_DSN = rng.normal(size=50) + draw_D11 + seed_DS1 + rng.normal(0, 2.0, size=(3, 3, 50))
        means.append(scores_DSN[0, 0].mean())
        found = components(scores_DSN)
        assert found.seeds is not None
        assert found.draws is not None
        parts.append(found.items**2 + found.seeds**2 + found.draws**2)
    assert np.var(means) == pytest.approx(4 / 50 + 1 / 50 + 0.04 + 0.04, rel=0.1)
    assert np.mean(parts) == pytest.approx(np.var(means), rel=0.15)  # a little more: below nothing is nothing


def test_what_a_choice_adds_is_how_much_the_best_of_trials_drawn_anew_differs() -> None:
    assert of_choice([0.0, 1.0]) == pytest.approx(3 / 16)  # of two draws a fourth of times the worse, twice
    assert of_choice([0.9, 0.9, 0.9]) == 0.0
    assert of_choice([0.7]) == 0.0
    scores_T = np.array([0.95, 0.4, 0.9, 0.93, 0.2])
    drawn = np.random.default_rng(0).choice(scores_T, size=(200_000, 5)).max(1)
    assert of_choice(scores_T.tolist()) == pytest.approx(drawn.var(), rel=0.03)


def test_of_one_seed_and_one_draw_only_the_items_are_known() -> None:
    found = components(np.array([[[0.0, 1.0, 1.0, 0.0]]]))
    assert (found.seeds, found.draws) == (None, None)
    assert found.items == pytest.approx(np.std([0, 1, 1, 0], ddof=1) / 2)


def test_runs_that_do_not_differ_owe_nothing_to_seeds_and_draws() -> None:
    found = components(np.broadcast_to(np.array([0.0, 1.0, 1.0]), (3, 2, 3)))
    assert (found.seeds, found.draws) == (0.0, 0.0)


def test_the_error_over_items_and_seeds_is_how_much_means_of_other_items_and_seeds_differ() -> None:
    rng = np.random.default_rng(0)
    means, variances = [], []
    for _ in range(3000):
        scores_SN = rng.normal(size=(1, 40)) + 0.6 * rng.normal(size=(6, 1)) + 3.0 * rng.normal(size=(6, 40))
        means.append(scores_SN.mean())
        variances.append(crossed_error(scores_SN) ** 2)
    assert np.mean(variances) == pytest.approx(np.var(means), rel=0.1)


def test_the_error_of_one_seed_is_over_items_and_of_equal_items_over_seeds() -> None:
    right_N = np.array([1.0, 0.0, 1.0, 1.0])
    assert crossed_error(right_N[None]) == pytest.approx(right_N.std(ddof=1) / 2)
    assert crossed_error(np.stack([right_N] * 3)) == pytest.approx(right_N.std(ddof=1) / 2)
    assert crossed_error(np.array([[0.0, 0.0], [1.0, 1.0]])) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="needs 2 test items, got 1"):
        crossed_error(np.ones((3, 1)))


def test_the_error_of_a_difference_is_the_same_formula_as_that_of_a_mean() -> None:
    rng = np.random.default_rng(0)
    scores_SN = (
        rng.normal(size=(1, 9)) + 2.0 * rng.normal(size=(4, 1)) + rng.normal(size=(4, 9))
    )  # few items, wide seeds
    found = paired.difference(scores_SN, np.zeros((4, 9)))
    assert found.variance.total == pytest.approx(crossed_error(scores_SN) ** 2, rel=1e-12)


def test_another_draw_trains_on_other_rows_and_tests_on_the_same(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipes = grid.draws([replace(toy("bert"), method=Frozen(), split=Split(per_class=4))], 2)
    one, other = (run(recipe, out=tmp_path) for recipe in recipes)
    assert one.fingerprint != other.fingerprint
    assert one.items is not None
    assert other.items is not None
    assert one.items.ids == other.items.ids
    assert one.validation_loss != other.validation_loss


def test_all_rows_cannot_be_drawn_otherwise() -> None:
    with pytest.raises(InputError, match=r"split\.draw is of a part of the rows: with all of them it must be 0, got 1"):
        Split(draw=1)
    with pytest.raises(InputError, match="draws must be at least 1, got 0"):
        grid.draws([], 0)


def test_seeds_with_the_same_rows_are_one_trial_where_rows_were_drawn_several_times(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipes = grid.seeds(grid.draws([replace(toy("bert"), method=Full(), split=Split(per_class=4))], 3), 2)
    results = compare(recipes, out=tmp_path).results
    scores = right(System(name="full", runs=results))
    assert scores.shape == (3, 30)
    assert set(np.unique(scores)) <= {0.0, 0.5, 1.0}
    (row,) = variances(results).rows
    assert [cell.split()[-1] for cell in row[-4:-1]] == ["(30)", "(2)", "(3)"]


def test_of_runs_without_single_scores_nothing_is_split(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    result = replace(run(replace(toy("bert"), method=Frozen()), out=tmp_path), items=None)
    (row,) = variances([result]).rows
    assert row[-4:] == ("–", "–", "–", "–")


def test_what_tuning_adds_stands_beside_what_seeds_do(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), method=Full(), split=Split(validation=0.3))
    tuning = tune([recipe], 3, out=tmp_path)
    results = [*tuning.trials, *compare(tuning.recipes, out=tmp_path).results]
    scores = [validated(each).value for each in tuning.trials]
    assert len(scores) == 3
    table = variances(results)
    assert table.rows[0][-1] == f"{100 * of_choice(scores) ** 0.5:.2f} (3)"
    assert any(note.startswith("tuning: of the best validation score") for note in table.notes)
