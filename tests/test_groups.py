"""Test rows that belong together, as reviews of one film: intervals and verdicts are over groups, not over rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from finetune import InputError, Recipe, Result, correlation, paired, resampling, run, spans, stats
from finetune.cache import ENCODED, kept_dir
from finetune.data import Rows
from finetune.data.toy import ToyText
from finetune.items import Items, independent
from finetune.metrics import MacroF1
from finetune.progress import Silent
from finetune.report.components import variances
from finetune.report.tables import table
from finetune.report.verdicts import verdicts
from finetune.session import session
from finetune.splits import grouped
from finetune.system import System, estimate, unfit
from finetune.verdict import judge, of_one_seed

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
    left_G = np.array([right_N[film != FILMS].mean() for film in range(100)])
    variance = 99 / 100 * ((left_G - left_G.mean()) ** 2).sum()  # the jackknife's, of leaving out a group (Tukey 1958)
    assert found_G.var(ddof=1) / 100 == pytest.approx(variance)
    assert np.array_equal(stats.by_group(np.stack([right_N, 1 - right_N]), FILMS)[0], found_G)


def test_groups_of_one_size_count_as_many_as_they_are_and_a_large_one_leaves_few() -> None:
    assert stats.effective(np.repeat(np.arange(7), 3)) == pytest.approx(7)
    assert stats.effective(np.repeat(np.arange(7), [94, 1, 1, 1, 1, 1, 1])) == pytest.approx(100**2 / (94**2 + 6))


def test_groups_that_are_alike_are_exactly_so() -> None:
    """Else what is left of adding up is taken for a spread, and an interval has no width."""
    together, right_N = np.repeat(np.arange(37), 3), np.tile([True, False, False], 37)
    assert stats.by_group(right_N.astype(float), together).var() == 0
    found = stats.share(right_N, together)
    assert found.low is not None
    assert found.low < 0.25
    both = stats.by_group(np.stack([right_N, right_N]).astype(float), together)
    assert paired.share(both).low == pytest.approx(found.low)


def test_intervals_over_few_groups_of_very_unequal_sizes_still_hold_the_truth() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(500):
        groups_N = np.repeat(np.arange(12), np.maximum(1, np.exp(rng.normal(1.5, 1.0, size=12)).astype(int)))
        found = stats.share(rng.random(len(groups_N)) < rng.beta(1.6, 0.4, size=12)[groups_N], groups_N)
        held += found.low is not None and found.high is not None and found.low < 0.8 < found.high
    assert 0.92 < held / 500 < 0.985


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
            resampling.bootstrap(targets_N, outputs_N, scores).values(),
            resampling.bootstrap(targets_N, outputs_N, scores, alone).values(),
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
    assert independent([items]).mean() == pytest.approx(right_N.mean())
    assert independent([items]).shape == (1, 100)
    assert independent([items], FILMS < 40).shape == (1, 40)
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


def test_tables_of_verdicts_and_of_variances_count_groups(result: Result) -> None:
    runs = (*made(result, "lora", 0.85, 0).runs, *made(result, "full", 0.75, 1).runs)
    (row,) = verdicts(runs).rows
    assert row[7] == "100 groups"
    assert all("(100 groups)" in " ".join(row) for row in variances(runs).rows)
    assert all(any("of 100 groups" in note for note in each.notes) for each in (verdicts(runs), variances(runs)))


def test_a_record_of_before_there_were_groups_is_compared_by_rows_and_changes_no_other_pair(result: Result) -> None:
    systems = [
        made(result, "lora", 0.85, 0),
        made(result, "full", 0.75, 1),
        made(result, "frozen", 0.7, 2, groups=False),
    ]
    found = [(verdict.found.n, verdict.sample) for verdict in judge(systems)]
    assert found == [(100, "groups of test rows"), *[(len(FILMS), "test rows")] * 2]
    runs = tuple(run for system in systems for run in system.runs)
    told = "toy_bert: not all records tell the same groups of its test rows, so each row counts as alone"
    assert told in table(runs).notes


def test_of_one_group_there_is_no_verdict_and_it_is_said_why(result: Result) -> None:
    assert result.items is not None
    ids, right_N = [f"row {number}" for number in range(30)], np.arange(30) < 20
    items = Items.of(ids, right_N, groups_N=np.zeros(30, dtype=int))
    scores = {"accuracy": stats.share(right_N, np.zeros(30, dtype=int))}
    runs = tuple(replace(result, recipe={**result.recipe, "seed": seed}, items=items, scores=scores) for seed in (0, 1))
    system = System(name="toy", runs=runs)
    assert unfit(system) == "all its test rows are of one group, and of others nothing is known"
    assert estimate(system) == stats.Estimate(pytest.approx(2 / 3), None, None, 30)
    assert "no verdict on toy_bert full: all its test rows are of one group" in "\n".join(table(runs).notes)


def test_one_seed_each_is_told_by_swapping_whole_groups(result: Result) -> None:
    alone = [
        System(name=each.name, runs=each.runs[:1])
        for each in (made(result, "lora", 0.9, 0), made(result, "full", 0.6, 1))
    ]
    (said,) = of_one_seed([(alone[0], alone[1])])
    assert "by a permutation test) by the 100 groups of test rows alone" in said
    rng, claims = np.random.default_rng(0), 0
    for _ in range(200):  # of equal systems few are called unequal, also where a few films have most rows
        groups_N = np.repeat(np.arange(12), np.maximum(1, np.exp(rng.normal(1.5, 1.5, size=12)).astype(int)))
        pair_SN = rng.random((2, len(groups_N))) < rng.beta(1.6, 0.4, size=(2, 12))[:, groups_N]
        runs = [
            replace(result, items=Items.of([f"{n:05}" for n in range(len(groups_N))], right_N, groups_N=groups_N))
            for right_N in pair_SN
        ]
        (said,) = of_one_seed([(System(name="one", runs=(runs[0],)), System(name="other", runs=(runs[1],)))])
        claims += float(said.partition(", p ")[2].removeprefix("below ").split(" ")[0]) < 0.05
    assert claims / 200 < 0.085


@pytest.mark.parametrize("groups", [True, False])
def test_facts_of_before_there_were_groups_are_found_anew(toy: Callable[[str], Recipe], groups: bool) -> None:
    data = OfFilms(train=66) if groups else ToyText(train=66)
    here = session(replace(toy("bert"), data=data))
    stored = json.loads(json.dumps(asdict(here.facts())))
    (path,) = (each for each in kept_dir(ENCODED).glob("*.json") if json.loads(each.read_text()) == stored)
    path.write_text(json.dumps({name: value for name, value in stored.items() if name != "groups"}))
    assert json.loads(json.dumps(asdict(here.facts()))) == stored
    assert ("test" in here.facts().groups) == groups


def test_a_closed_test_set_has_no_groups(toy: Callable[[str], Recipe]) -> None:
    recipe = replace(toy("bert"), data=OfFilms())
    assert session(replace(recipe, split=replace(recipe.split, test_rows=0))).groups("test") is None


def test_rows_that_are_each_a_group_of_their_own_have_none() -> None:
    rows = OfFilms().load(OfFilms().fetch(Silent())).test
    assert rows is not None
    each = rows.remove_columns("group").add_column("group", rows["id"][:])  # pyright: ignore[reportCallIssue]
    assert grouped(each) is None
    assert grouped(rows.remove_columns("group")) is None


def test_a_table_tells_of_groups(result: Result) -> None:
    runs = made(result, "lora", 0.85, 0).runs
    told = f"toy_bert: its {len(FILMS)} test rows are of 100 groups of up to 11, and intervals are over these"
    assert f"{told}, for rows of one are alike" in table(runs).notes
    assert not any("groups" in note for note in table(made(result, "lora", 0.85, 0, groups=False).runs).notes)
