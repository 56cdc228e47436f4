"""Test rows that belong together, as reviews of one film: intervals and verdicts are over groups, not over rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from finetune import InputError, Recipe, Result, correlation, run, spans, stats
from finetune.data import Rows
from finetune.data.toy import ToyText
from finetune.items import Items, stacked
from finetune.metrics import MacroF1
from finetune.report.tables import table
from finetune.session import session
from finetune.system import System, estimate
from finetune.verdict import judge

FILMS = np.repeat(np.arange(100), np.random.default_rng(3).integers(1, 12, size=100))


@dataclass(frozen=True, kw_only=True)
class OfFilms(ToyText):
    """The toy texts, as if three after each other were of one film."""

    def load(self, fetched: object) -> Rows:
        rows = super().load(fetched)  # pyright: ignore[reportArgumentType]
        assert rows.test is not None
        told = [f"film {number // 3}" for number in range(self.test)]
        return replace(rows, test=rows.test.add_column("group", told))  # pyright: ignore[reportCallIssue]


def of_films(rng: np.random.Generator, mean: float = 0.8, seeds: int = 1) -> np.ndarray:
    """Which rows are right with each seed, where nearly all of a film are, or hardly any."""
    chances_N = rng.beta(mean, 1 - mean, size=100)[FILMS]
    return (rng.random((seeds, len(FILMS))) < chances_N).squeeze()


def test_the_numbers_of_groups_have_the_mean_of_rows_and_the_variance_of_a_textbook() -> None:
    right_N = of_films(np.random.default_rng(0)).astype(float)
    found_G = stats.by_group(right_N, FILMS)
    assert found_G.shape == (100,)
    assert found_G.mean() == pytest.approx(right_N.mean())
    off_G = np.array([(right_N - right_N.mean())[film == FILMS].sum() for film in range(100)])
    variance = 100 / 99 * (off_G**2).sum() / len(FILMS) ** 2  # Cochran 1977, of a ratio of two sums over groups
    assert found_G.var(ddof=1) / 100 == pytest.approx(variance)
    assert np.array_equal(stats.by_group(np.stack([right_N, 1 - right_N]), FILMS)[0], found_G)


def test_intervals_over_groups_hold_the_truth_where_those_over_rows_are_too_sure() -> None:
    rng, held = np.random.default_rng(0), np.zeros(2)
    for _ in range(500):
        right_N = of_films(rng)
        both = stats.share(right_N), stats.share(right_N, FILMS)
        held += [each.low is not None and each.high is not None and each.low < 0.8 < each.high for each in both]
    assert held[0] / 500 < 0.7
    assert 0.925 < held[1] / 500 < 0.975


def test_of_groups_of_one_row_every_interval_is_nearly_that_of_rows() -> None:
    rng = np.random.default_rng(0)
    alone, values, others = np.arange(300), rng.normal(size=300), rng.normal(size=300)
    right_N, sizes_N = rng.random(300) < 0.8, rng.integers(1, 5, size=300)
    targets_N = rng.integers(3, size=300)
    outputs_N = np.where(right_N, targets_N, 0)
    scores = {"macro_f1": (MacroF1.formula(targets_N, outputs_N), MacroF1.of_confusion)}
    pairs = [
        (stats.share(right_N), stats.share(right_N, alone)),
        (stats.mean(values), stats.mean(values, alone)),
        (stats.rate(values, sizes_N), stats.rate(values, sizes_N, alone)),
        (correlation.pearson(values, others), correlation.pearson(values, others, alone)),
        (correlation.spearman(values, others), correlation.spearman(values, others, alone)),
        (spans.accuracy(sizes_N * right_N, sizes_N), spans.accuracy(sizes_N * right_N, sizes_N, alone)),
        *zip(
            stats.bootstrap(targets_N, outputs_N, scores).values(),
            stats.bootstrap(targets_N, outputs_N, scores, alone).values(),
            strict=True,
        ),
    ]
    for rows, groups in pairs:
        assert (groups.value, groups.n) == (rows.value, rows.n)
        assert rows.low is not None
        assert rows.high is not None
        assert (groups.low, groups.high) == pytest.approx((rows.low, rows.high), abs=0.1 * (rows.high - rows.low))


def test_of_one_group_there_is_no_interval() -> None:
    values, together = np.array([0.0, 1.0, 1.0]), np.zeros(3, dtype=int)
    assert stats.share(values == 1, together) == stats.Estimate(2 / 3, None, None, 3)
    assert stats.mean(values, together) == stats.Estimate(2 / 3, None, None, 3)
    assert correlation.pearson(values, values, together) == stats.Estimate(pytest.approx(1.0), None, None, 3)
    assert spans.accuracy(values, np.ones(3), together) == stats.Estimate(2 / 3, None, None, 3)


def test_a_record_keeps_which_rows_are_of_one_group_whatever_it_is_called_and_in_any_order() -> None:
    ids, right_N = [f"row {number:03}" for number in range(len(FILMS))], of_films(np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(len(ids))
    items = Items.of(ids, right_N, groups_N=FILMS)
    assert items == Items.of([ids[each] for each in order], right_N[order], groups_N=7 * FILMS[order] + 5)
    numbers_N = items.together()
    assert numbers_N is not None
    assert np.array_equal(numbers_N[:, None] == numbers_N, FILMS[:, None] == FILMS)
    assert stacked([items]).mean() == pytest.approx(right_N.mean())
    assert stacked([items]).shape == (1, 100)
    assert stacked([items], FILMS < 40).shape == (1, 40)
    assert Items.of(ids, right_N).together() is None


def test_a_record_with_too_few_groups_is_one_line() -> None:
    with pytest.raises(InputError, match=r"items.groups must have a number for each of 8 test examples, got 3 bytes"):
        Items(ids="a", n=8, right="AA==", groups="AAAA")


@pytest.fixture
def result(toy: Callable[[str], Recipe], tmp_path: Path) -> Result:
    return run(replace(toy("bert"), data=OfFilms()), out=tmp_path)


def test_a_run_scores_groups_where_its_rows_have_any(
    result: Result, toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    assert result.items is not None
    numbers_N = result.items.together()
    assert numbers_N is not None
    assert np.unique(numbers_N, return_counts=True)[1].tolist() == [3] * 10
    right_N = result.items.unpacked() == 1
    assert result.scores["accuracy"] == stats.share(right_N, numbers_N)
    assert result.scores["accuracy"].n == 30
    assert Result.from_json(json.loads(json.dumps(result.to_json()))).items == result.items
    alone = run(toy("bert"), out=tmp_path)
    assert alone.items is not None
    assert alone.items.groups is None
    here = session(replace(toy("bert"), data=OfFilms()))
    assert here.groups("validation") is None
    assert np.array_equal(here.groups("test"), np.repeat(np.arange(10), 3))  # pyright: ignore[reportArgumentType]


def made(result: Result, method: str, mean: float, seed: int, *, groups: bool = True) -> System:
    ids = [f"row {number:03}" for number in range(len(FILMS))]
    right_SN = of_films(np.random.default_rng(seed), mean, seeds=3)
    runs = tuple(
        replace(
            result,
            recipe={**result.recipe, "seed": number, "method": {"type": method}},
            method=method,
            items=Items.of(ids, right_N, groups_N=FILMS if groups else None),
        )
        for number, right_N in enumerate(right_SN)
    )
    return System(name=method, runs=runs)


def test_a_verdict_counts_groups_and_not_rows(result: Result) -> None:
    systems = [made(result, "lora", 0.85, 0), made(result, "full", 0.75, 1)]
    (verdict,) = judge(systems)
    assert verdict.found.n == 100
    assert "100 groups of test rows, 3 seeds" in verdict.sentence
    (alone,) = judge([made(result, "lora", 0.85, 0, groups=False), made(result, "full", 0.75, 1, groups=False)])
    assert f"{len(FILMS)} test rows, 3 seeds" in alone.sentence
    assert verdict.found.value == pytest.approx(alone.found.value)
    assert verdict.found.high - verdict.found.low > 1.3 * (alone.found.high - alone.found.low)
    of_groups, of_rows = (estimate(each) for each in (systems[0], made(result, "lora", 0.85, 0, groups=False)))
    assert of_groups.low is not None
    assert of_rows.low is not None
    assert of_groups.low < of_rows.low


def test_a_record_of_before_there_were_groups_is_compared_by_rows(result: Result) -> None:
    (verdict,) = judge([made(result, "lora", 0.85, 0), made(result, "full", 0.75, 1, groups=False)])
    assert (verdict.found.n, verdict.sample) == (len(FILMS), "test rows")


def test_a_table_tells_of_groups(result: Result) -> None:
    runs = made(result, "lora", 0.85, 0).runs
    told = f"its {len(FILMS)} test rows are of 100 groups, and intervals are over these, for rows of one are alike"
    assert f"toy_bert: {told}" in table(runs).notes
    assert not any("groups" in note for note in table(made(result, "lora", 0.85, 0, groups=False).runs).notes)
