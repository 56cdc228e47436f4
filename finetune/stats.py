"""Pure numbers: an estimate never travels without its interval and its n.

N test items, of which some may belong together: `groups_N` has a number of each's group, as of reviews that of their
film. Items of one group are alike, and only groups are independent of each other; intervals are then over these. G
groups, K counts of each item.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval over n test items. Without an interval (n too small), low and high are None."""

    value: float
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, float | int | None]:
        return asdict(self)


def proportion(successes: int, n: int) -> Estimate:
    """A share of successes with Wilson's score interval (Wilson 1927): right also near 0 and 1, unlike ± 2 errors."""
    return score_interval(successes / n, n, math.inf, n) if n else Estimate(math.nan, None, None, 0)


def by_group(values: np.ndarray, groups_N: np.ndarray) -> np.ndarray:
    """A number for each group instead of each item, of the same mean, and independent of each other: (…, N) → (…, G).

    Their variance over G is that of the mean, of groups of any sizes: they are the jackknife's, how far the mean moves
    where a group is left out (Tukey 1958). With groups of unequal sizes a variance is as poorly estimated as with fewer
    of one size: `effective` says how many.
    """
    sums_GK, sizes_GK = (
        summed(each.reshape(-1, len(groups_N)).T, groups_N) for each in (values, np.ones(len(groups_N)))
    )
    groups, means = len(sums_GK), values.mean(-1, keepdims=True)
    if groups == 1:
        return means
    left_KG = ((sums_GK.sum(0) - sums_GK) / (len(groups_N) - sizes_GK)).T
    moved_KG = (groups - 1) * (left_KG.mean(1, keepdims=True) - left_KG)
    # without the last digits, in which groups that are alike would differ
    return (means + moved_KG.reshape(*values.shape[:-1], groups)).round(12)


def effective(groups_N: np.ndarray) -> float:
    """The effective number of groups: of one size so many would be worth as much as these (Kish 1965)."""
    sizes_G = np.unique(groups_N, return_counts=True)[1]
    return float(len(groups_N) ** 2 / (sizes_G**2).sum())


def summed(counts_NK: np.ndarray, groups_N: np.ndarray) -> np.ndarray:
    """The sums over each group, in the order of their numbers."""
    _, group_N = np.unique(groups_N, return_inverse=True)
    return np.stack([np.bincount(group_N, each_N) for each_N in counts_NK.T], axis=1)


def share(right_N: np.ndarray, groups_N: np.ndarray | None = None) -> Estimate:
    """Of items that were right, with Wilson's interval; of groups that of as many items as would be so uncertain alone,
    by Student's quantile (Korn and Graubard 1998).
    """
    if groups_N is None:
        return proportion(int(right_N.sum()), len(right_N))
    value, of_groups = float(right_N.mean()), by_group(right_N.astype(float), groups_N)
    if len(of_groups) < 2:
        return Estimate(value, None, None, len(right_N))
    variance = float(of_groups.var(ddof=1)) / len(of_groups)
    items = value * (1 - value) / variance if variance else len(of_groups)
    freedom = max(1.0, effective(groups_N) - 1) if variance else math.inf
    return score_interval(value, items, freedom, len(right_N))


def score_interval(value: float, items: float, freedom: float, n: int) -> Estimate:
    """A share of n items with the score interval (Wilson 1927), which keeps between 0 and 1.

    Args:
        items: of how many, were they independent, a share would be so uncertain.
        freedom: degrees of, that this was estimated with.
    """
    from scipy import stats  # most of a second to import, and who shows a recipe needs no interval

    more = float(stats.t.ppf(0.975, freedom)) ** 2 / items
    middle = (value + more / 2) / (1 + more)
    half = math.sqrt(more * value * (1 - value) + more**2 / 4) / (1 + more)
    # of none or all that end is exact, but for the last digits
    return Estimate(value, max(0.0, middle - half) if value else 0.0, min(1.0, middle + half) if value < 1 else 1.0, n)


def mean(values_N: np.ndarray, groups_N: np.ndarray | None = None) -> Estimate:
    """The mean of a number per test item, with Student's interval."""
    n = len(values_N)
    value = float(np.mean(values_N)) if n else math.nan
    alone = values_N if groups_N is None else by_group(values_N, groups_N)
    if len(alone) < 2:
        return Estimate(value, None, None, n)
    from scipy import stats

    freedom = n - 1 if groups_N is None else max(1.0, effective(groups_N) - 1)
    half = float(stats.t.ppf(0.975, freedom) * np.std(alone, ddof=1)) / math.sqrt(len(alone))
    return Estimate(value, value - half, value + half, n)


def geometric(values: np.ndarray) -> Estimate:
    """The geometric mean of numbers that span powers of ten, none below zero, with Student's interval of logarithms.

    Where one is zero so is the mean, and has no interval.
    """
    if len(values) and not values.all():
        return Estimate(0.0, None, None, len(values))
    logs = mean(np.log(values))
    ends = [None if each is None else math.exp(each) for each in (logs.low, logs.high)]
    return Estimate(math.exp(logs.value), *ends, n=logs.n)


def rate(amounts_N: np.ndarray, sizes_N: np.ndarray, groups_N: np.ndarray | None = None) -> Estimate:
    """A total per unit, of N items of several units each, with Student's interval of a ratio (Cochran 1977).

    Items without a unit say nothing and are not counted.
    """
    groups_N = None if groups_N is None else groups_N[sizes_N > 0]
    amounts_N, sizes_N = amounts_N[sizes_N > 0], sizes_N[sizes_N > 0]
    if not len(sizes_N):
        return Estimate(math.nan, None, None, 0)
    value = float(amounts_N.sum() / sizes_N.sum())
    around = mean((amounts_N - value * sizes_N) / sizes_N.mean(), groups_N)
    if around.low is None or around.high is None:
        return Estimate(value, None, None, len(sizes_N))
    return Estimate(value, value + around.low, value + around.high, len(sizes_N))


def averaged(estimates: Sequence[Estimate]) -> Estimate:
    """Estimates over the same items, of several seeds, as one: the mean value, and the mean ends of the intervals."""
    value, n = float(np.mean([each.value for each in estimates])), estimates[0].n
    ends = [(each.low, each.high) for each in estimates if each.low is not None and each.high is not None]
    if len(ends) < len(estimates):
        return Estimate(value, None, None, n)
    low, high = np.mean(ends, axis=0).tolist()
    return Estimate(value, low, high, n)


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over repeated runs; of one run there is no deviation."""

    mean: float
    deviation: float | None
    n: int


def spread(values: Sequence[float]) -> Spread:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation, len(values))


def standard_error(share: float, n: int) -> float:
    """Of a share of n test items, where nothing but the share is known."""
    return math.sqrt(share * (1 - share) / n)
