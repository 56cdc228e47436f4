"""What is claimed of two systems: checked against closed forms, and simulated experiments whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from experiments import even, experiment, truth
from scipy import stats

from finetune import paired

RNG_SEED = 20_261_125


@pytest.mark.parametrize(("wobble", "most"), [(0.0, 0.98), (0.15, 0.97)])  # seeds that do not matter cost width
@pytest.mark.parametrize(("items", "seeds"), [(400, (3, 3)), (200, (5, 5)), (800, (3, 5)), (2189, (2, 2))])
def test_the_interval_covers_the_truth_as_often_as_it_says(
    items: int, seeds: tuple[int, int], wobble: float, most: float
) -> None:
    rng = np.random.default_rng(RNG_SEED)
    gap, draws, inside = 0.3, 2000, 0
    for _ in range(draws):
        found = paired.difference(*experiment(rng, items, seeds, gap, wobble))
        inside += found.low <= truth(gap, wobble) <= found.high
    assert 0.93 <= inside / draws <= (0.99 if seeds in ((2, 2), (3, 5)) else most)


@pytest.mark.parametrize("wobble", [0.0, 0.15])
def test_of_two_equal_systems_one_is_called_better_at_most_one_time_in_twenty(wobble: float) -> None:
    rng = np.random.default_rng(RNG_SEED)
    claims = sum(paired.difference(*experiment(rng, 400, (3, 3), 0.0, wobble)).p < 0.05 for _ in range(2000))
    assert claims / 2000 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize("wobble", [0.05, 0.15, 0.4])
@pytest.mark.parametrize("seeds", [(2, 2), (2, 3), (2, 5), (3, 5), (2, 10), (3, 10)])
def test_so_it_is_of_two_seeds_and_of_unequal_numbers(seeds: tuple[int, int], wobble: float) -> None:
    rng = np.random.default_rng(RNG_SEED)
    claims = sum(paired.difference(*experiment(rng, 400, seeds, 0.0, wobble)).p < 0.05 for _ in range(1000))
    assert claims / 1000 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)


def test_where_only_one_of_two_equal_systems_has_seeds_that_differ_less_is_claimed_than_by_satterthwaites_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of a trained and a frozen backbone: 6.5 of a hundred, and 7.3."""
    rng, draws = np.random.default_rng(RNG_SEED), 2000
    made = [experiment(rng, 2000, (3, 3), even(0.15, 0.0), 0.15, 0.0) for _ in range(draws)]
    claims = sum(paired.difference(*each).p < 0.05 for each in made) / draws
    monkeypatch.setattr(paired, "SHARED", 2)
    assert claims < sum(paired.difference(*each).p < 0.05 for each in made) / draws
    assert claims <= 0.065 + 2 * math.sqrt(0.065 * 0.935 / draws)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_degrees_of_freedom_are_those_of_what_there_is_to_vary(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    items_N, luck_S, no_N = rng.normal(size=(1, 30)), rng.normal(size=(seeds, 1)), np.zeros((seeds, 30))
    alike, luck = np.repeat(items_N, seeds, 0), luck_S + no_N
    assert paired.difference(alike, no_N).freedom == pytest.approx(29)
    assert paired.difference(alike, no_N, effective=1.0).freedom == 1
    assert paired.difference(luck, no_N).freedom == pytest.approx(seeds - 1)
    assert paired.difference(luck, -luck).freedom == pytest.approx(2 * (seeds - 1))
    both = paired.difference(luck / 5 + alike, no_N).freedom
    assert seeds - 1 < both < 29


def test_more_seeds_of_one_system_find_more_and_not_less() -> None:
    rng = np.random.default_rng(RNG_SEED)
    found = {
        seeds: sum(paired.difference(*experiment(rng, 400, seeds, 0.3, 0.1)).p < 0.05 for _ in range(600))
        for seeds in ((2, 2), (2, 5))
    }
    assert found[2, 5] > found[2, 2] > 0


def test_a_real_difference_is_mostly_found() -> None:
    rng = np.random.default_rng(RNG_SEED)
    found = sum(paired.difference(*experiment(rng, 800, (5, 5), 0.5, 0.05)).p < 0.05 for _ in range(300))
    assert found / 300 > 0.9  # power for 7 points of accuracy


def test_without_seeds_that_differ_the_interval_is_students_over_items() -> None:
    rng = np.random.default_rng(0)
    ours_N, theirs_N = rng.random(50), rng.random(50)
    found = paired.difference(np.stack([ours_N] * 2), np.stack([theirs_N] * 2))
    expected = stats.ttest_rel(ours_N, theirs_N)
    assert found.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_of_items_that_are_all_alike_the_variance_is_that_of_the_seeds() -> None:
    ours, theirs = np.array([0.8, 0.9, 0.7]), np.array([0.6, 0.65, 0.5])
    found = paired.difference(np.repeat(ours[:, None], 40, 1), np.repeat(theirs[:, None], 40, 1))
    expected = stats.ttest_ind(ours, theirs, equal_var=False)
    seeds = (ours.var(ddof=1) + theirs.var(ddof=1)) / 3
    assert found.variance.items == pytest.approx(0, abs=1e-12)
    assert found.variance.seeds == pytest.approx(seeds)
    assert found.freedom == pytest.approx(expected.df)


@pytest.mark.parametrize(("margin", "equivalent"), [(0.05, True), (0.005, False)])
def test_equivalence_is_two_one_sided_tests(margin: float, equivalent: bool) -> None:
    rng = np.random.default_rng(1)
    found = paired.difference(*experiment(rng, 4000, (5, 5), 0.0, 0.02))
    error = math.sqrt(found.variance.total)
    ps = [
        stats.t.sf((found.value + margin) / error, found.freedom),
        stats.t.cdf((found.value - margin) / error, found.freedom),
    ]
    assert found.within(margin) == (max(ps) < 0.05) == equivalent


def test_systems_that_differ_by_the_margin_are_called_equivalent_at_most_one_time_in_twenty() -> None:
    rng = np.random.default_rng(RNG_SEED)
    gap = 0.2
    margin = truth(gap, 0.1)
    claims = sum(paired.difference(*experiment(rng, 800, (3, 3), gap, 0.1)).within(margin) for _ in range(1000))
    assert claims / 1000 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)


def test_a_margin_of_nothing_is_refused() -> None:
    found = paired.difference(*experiment(np.random.default_rng(0), 50, (2, 2), 0.0, 0.1))
    with pytest.raises(ValueError, match="margin must be above 0, got 0"):
        found.within(0)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (((2, 9), (2, 8)), "9 and 8 test items: they are not the same"),
        (((1, 9), (2, 9)), "an interval needs 2 test items and 2 seeds of both, got 9 and 1"),
        (((2, 1), (2, 1)), "an interval needs 2 test items and 2 seeds of both, got 1 and 2"),
    ],
)
def test_what_has_no_interval_is_refused(shapes: tuple[tuple[int, int], ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        paired.difference(*(np.zeros(shape) for shape in shapes))


def test_mcnemar_is_the_binomial_test_of_the_items_they_disagree_on() -> None:
    ours = np.array([True] * 8 + [False] * 2 + [True] * 5)
    theirs = np.array([False] * 8 + [True] * 2 + [True] * 5)
    assert paired.mcnemar(ours, theirs) == pytest.approx(2 * stats.binom.cdf(2, 10, 0.5))
    assert paired.mcnemar(ours, ours) == 1.0


def test_the_permutation_test_counts_every_swap() -> None:
    ours, theirs = np.array([1.0] * 8 + [0.0] * 2), np.array([0.0] * 8 + [1.0] * 2)
    assert paired.permutation(ours, theirs, 50_000) == pytest.approx(2 * stats.binom.cdf(2, 10, 0.5), rel=0.05)
    assert paired.permutation(ours, ours) == 1.0


def test_the_bootstrap_over_pairs_is_about_students_interval() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = rng.normal(1, 1, 500), rng.normal(0.8, 1, 500)
    low, high = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert paired.bootstrap(ours, theirs) == pytest.approx((low, high), abs=0.02)
    assert paired.bootstrap(ours, ours) == (0.0, 0.0)


def test_holm_is_the_textbook_example() -> None:
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert paired.holm([]) == []


def test_with_the_items_that_were_said_to_be_needed_four_of_five_experiments_are_settled() -> None:
    rng = np.random.default_rng(RNG_SEED)
    gap = 0.12
    first = paired.difference(*experiment(rng, 300, (4, 4), gap, 0.0))
    known = {  # what the simulation knows of the difference, and that no seed is better than another
        "value": truth(gap, 0.0),
        "variance": replace(first.variance, seeds=0.0),
        "apart": tuple(replace(each, between=0.0) for each in first.apart),
    }
    first = replace(first, **known)
    items, _ = paired.needed(first, 0.001)
    assert items is not None
    settled = sum(paired.difference(*experiment(rng, items, (4, 4), gap, 0.0)).p < 0.05 for _ in range(200))
    assert 0.6 < settled / 200 < 0.9  # that seeds are alike is estimated anew each time, and costs some


def test_no_number_of_items_is_enough_where_seeds_are_the_trouble() -> None:
    rng = np.random.default_rng(RNG_SEED)
    found = paired.difference(*experiment(rng, 20_000, (3, 3), 0.02, 0.4))
    items, seeds = paired.needed(found, 0.001)
    assert items is None
    assert seeds is not None
    assert seeds > 3


def test_of_two_seeds_that_lie_far_apart_a_few_more_are_needed_not_one() -> None:
    found = paired.Difference(
        value=0.046,
        low=-0.086,
        high=0.178,
        p=0.14,
        below=-0.039,
        above=0.131,
        variance=paired.Variance(items=0.00008, seeds=0.0003),
        apart=(paired.Apart(between=0.0003, within=0.0), paired.Apart(between=0.0, within=0.0)),
        n=400,
        effective=400.0,
        seeds=(2, 2),
    )
    items, seeds = paired.needed(found, 0.01)
    assert items is None  # two seeds alone leave more than that
    assert seeds == 5  # half of the interval and 0.84 to 1 errors more: 5.9 points at 3, 4.7 at 4, 4.0 at 5


def test_items_that_were_said_to_be_needed_would_settle_it_also_where_one_system_alone_has_seeds_that_differ() -> None:
    rng = np.random.default_rng(RNG_SEED)
    said = 0
    for _ in range(450):
        ours, theirs = experiment(rng, 300, (3, 3), 0.4, 0.2)
        found = paired.difference(ours, np.repeat(theirs[:1], 3, 0))
        if found.p < 0.05 or found.within(0.001):
            continue
        items, _ = paired.needed(found, 0.001)
        said += items is not None
        if items is not None:  # as many times the items, and nothing else, in the terms of `difference`
            own, times = found.apart[0], items / found.n
            assert found.apart[1].between + found.apart[1].within < 1e-12
            total = found.variance.items / times + found.variance.seeds
            squares = (found.variance.items / times) ** 2 / (items - 1) + (own.between + own.within / times) ** 2 / 2
            freedom = max(total**2 / squares, 2.0)
            assert abs(found.value) > (stats.t.ppf(0.975, freedom) + stats.t.ppf(0.8, freedom)) * math.sqrt(total)
    assert said > 20


def test_one_of_many_comparisons_that_alone_would_be_settled_needs_more_than_there_was() -> None:
    found = paired.Difference(
        value=0.03,
        low=0.0092,
        high=0.0508,
        p=0.005,  # of 15 comparisons 0.075
        below=0.0126,
        above=0.0474,
        variance=paired.Variance(items=0.0001, seeds=0.00001),
        apart=(paired.Apart(between=0.000005, within=0.0),) * 2,
        n=800,
        effective=800.0,
        seeds=(3, 3),
    )
    items, seeds = paired.needed(found, 0.001, among=15)
    assert items is not None
    assert 1200 < items < 2000
    assert seeds is None  # 800 items alone leave more than that


def test_a_difference_as_large_as_it_says_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(RNG_SEED)
    items, error = 400, 0.02
    found, said = [], []
    for _ in range(1000):
        scores_SN = rng.normal(0, 1, size=(2, items)) * error * math.sqrt(items)
        one_SN = np.stack([scores_SN[0]] * 2)  # seeds that do not differ: the closed form is Student's
        other_SN = np.zeros_like(one_SN)
        said.append(paired.difference(one_SN, other_SN).detectable)
        found.append(paired.difference(one_SN + 2.8 * error, other_SN).p < 0.05)
    assert np.median(said) == pytest.approx(2.8 * error, rel=0.02)  # 1.96 + 0.84 standard errors
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_the_interval_of_one_system_counts_items_and_seeds() -> None:
    rng = np.random.default_rng(RNG_SEED)
    inside, draws = 0, 1000
    for _ in range(draws):
        hard_N, luck_S1 = rng.normal(0, 1, size=300), rng.normal(0, 0.1, size=(5, 1))
        scores_SN = 0.7 + luck_S1 + hard_N + rng.normal(0, 0.5, size=(5, 300))
        found = paired.difference(scores_SN, np.zeros_like(scores_SN))
        assert found.low <= found.value <= found.high
        inside += found.low <= 0.7 <= found.high
    assert 0.93 <= inside / draws <= 0.98


@pytest.mark.parametrize(("right", "low", "high"), [(0, 0.0, 0.0037), (1, 0.9963, 1.0)])
def test_a_share_of_none_or_all_has_wilsons_interval_over_items(right: int, low: float, high: float) -> None:
    found = paired.share(np.full((3, 1000), float(right)))  # Wilson: 1 / (1 + n / z²) from the end
    assert (found.value, found.n) == (right, 1000)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-4)
    assert found.high - found.low == pytest.approx(1 / (1 + 1000 / 1.959964**2), rel=1e-5)


def test_seeds_that_differ_make_the_interval_of_a_share_wider_and_those_that_do_not_leave_it() -> None:
    alike, apart = (
        np.stack([np.arange(100) < count for count in counts]).astype(float) for counts in ((50, 50, 50), (95, 5, 50))
    )
    one, same, other = paired.share(alike[:1]), paired.share(alike), paired.share(apart)
    assert one.value == same.value == pytest.approx(other.value)
    assert (same.low, same.high) == pytest.approx((one.low, one.high), abs=0.005)
    assert other.low is not None
    assert other.high is not None
    assert other.low < 0.1
    assert other.high > 0.9


@pytest.mark.parametrize("chance", [0.5, 0.97])
@pytest.mark.parametrize(("count", "least", "most"), [(2, 0.89, 0.99), (3, 0.91, 0.98), (5, 0.93, 0.97)])
def test_the_interval_of_a_share_holds_the_truth_in_93_to_97_of_100_experiments_if_there_are_seeds_to_tell(
    count: int, least: float, most: float, chance: float
) -> None:
    """Items are as hard as they are drawn, and seeds differ: logits of both are normal."""
    rng = np.random.default_rng(0)
    middle = np.log(chance / (1 - chance))

    def shares(seeds: int, items: int) -> np.ndarray:
        logits = middle + rng.normal(0, 0.3, (seeds, 1)) + rng.normal(0, 1, items)
        return 1 / (1 + np.exp(-logits))

    truth = float(np.mean([shares(1, 1) for _ in range(20_000)]))
    found = [paired.share((rng.random((count, 200)) < shares(count, 200)).astype(float)) for _ in range(2000)]
    held = np.mean([(each.low or 0) <= truth <= (each.high or 1) for each in found])
    assert least <= held <= most
