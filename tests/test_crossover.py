"""From how many rows on one system leads: curves whose crossing is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from finetune.crossover import crossover

ROWS = (16, 64, 256)


def scores(rng: np.random.Generator, accuracies: Sequence[float], items: int = 2000) -> list[np.ndarray]:
    """Three seeds of a system at each budget; what is hard is hard at all of them."""
    hard_N = rng.uniform(size=items)
    return [(np.abs(hard_N + rng.normal(0, 0.02, size=(3, items))) < accuracy).astype(float) for accuracy in accuracies]


def test_curves_cross_where_a_line_over_the_logarithm_does() -> None:
    ours, theirs = ([np.full((3, 100), accuracy) for accuracy in each] for each in ((0.5, 0.7, 0.9), (0.6, 0.8, 0.8)))
    found = crossover(ROWS, ours, theirs)
    assert found.value == pytest.approx(128)  # −0.1 at 64, +0.1 at 256: half way between their logarithms
    assert (found.low, found.high) == (pytest.approx(128), pytest.approx(128))


def test_one_that_always_leads_crosses_at_nothing_and_one_that_never_does_at_infinity() -> None:
    rng = np.random.default_rng(0)
    high, low = scores(rng, (0.7, 0.8, 0.9)), scores(rng, (0.4, 0.5, 0.6))
    assert crossover(ROWS, high, low).value == crossover(ROWS, high, low).high == 0
    assert crossover(ROWS, low, high).value == crossover(ROWS, low, high).low == math.inf


def test_systems_that_are_level_never_cross_whatever_the_last_bit_of_their_sums_says() -> None:
    ours, theirs = ([np.full((seeds, 700), 0.1)] * 3 for seeds in (7, 3))
    found = crossover(ROWS, ours, theirs)
    assert (found.value, found.low, found.high) == (math.inf, math.inf, math.inf)


def test_the_interval_covers_the_crossing_as_often_as_it_says() -> None:
    rng, inside = np.random.default_rng(1), 0
    draws = 60
    for _ in range(draws):
        ours, theirs = (scores(rng, each, 400) for each in ((0.55, 0.7, 0.85), (0.65, 0.75, 0.75)))
        found = crossover(ROWS, ours, theirs)
        inside += found.low <= 64 * 4 ** (0.05 / 0.15) <= found.high
    assert inside / draws >= 0.85


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_interval_covers_the_crossing_also_where_seeds_decide(seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn with replacement two seeds cover it in 80 of 100 experiments."""
    monkeypatch.setattr("finetune.crossover.DRAWS", 300)
    rng, inside, draws = np.random.default_rng(2), 0, 200
    shifts, spread = ((-0.1, 0.4, 1.0), (0.3, 0.5, 0.6)), math.sqrt(1.2**2 + 0.7**2 + 0.4**2)
    one, other = (stats.norm.cdf((0.3 + np.array(each)) / spread) for each in shifts)
    true = crossover(ROWS, *([np.full((2, 9), share) for share in each] for each in (one, other))).value
    for _ in range(draws):
        hard_N = rng.normal(0.3, 1.2, 300)
        ours, theirs = (
            [
                (hard_N + shift + rng.normal(0, 0.4, (seeds, 1)) + rng.normal(0, 0.7, (seeds, 300)) > 0).astype(float)
                for shift in each
            ]
            for each in shifts
        )
        found = crossover(ROWS, ours, theirs)
        inside += found.low <= true <= found.high
    assert 0.91 <= inside / draws <= 0.99


def test_one_budget_is_no_curve() -> None:
    with pytest.raises(ValueError, match="2 or more are needed, got 1"):
        crossover((16,), [np.ones((2, 5))], [np.ones((2, 5))])
