"""Two systems scored on the same test items, each trained with several seeds: how far apart, and how sure of that.

N test items, S seeds. A score is a number for each seed and item, such as 1 where the label was right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finetune.stats import Estimate, score_interval
from finetune.variance import of_items, of_runs

POWER = 0.8  # how often a difference that is there should be found
LEVEL = 0.05  # how often a difference may be claimed where there is none
# Satterthwaite squares the share that each source has of a variance, as if it were known. Of a few seeds that happen
# to lie close together it is estimated too small, squared it is smaller yet, and the interval is too narrow. A lower
# power widens it there, and costs width where seeds do not matter. This one was chosen by the simulation that
# claims.md is of: of equal systems with three seeds each, of which only one's differ, one is called better in 6.5 %
# of experiments and not in 7.3 as with 2; with 1, five seeds each would hold the truth in more than 97 %
# (CHANGELOG.md)
SHARED = 4 / 3
MOST = 1000  # times as many test items or seeds as there were: to need more is no advice


@dataclass(frozen=True, kw_only=True)
class Variance:
    """Where the uncertainty of a difference of means comes from: its variance over what could have been drawn."""

    items: float  # other test items
    seeds: float  # other seeds

    @property
    def total(self) -> float:
        return self.items + self.seeds


@dataclass(frozen=True, kw_only=True)
class Apart:
    """How far the scores of one system's seeds are apart: parts of the variance of their mean."""

    between: float  # what no more items would lessen
    within: float  # of the items that seeds err on differently


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The mean score of one system less that of another, both over their seeds and the same N items."""

    value: float
    low: float  # of the 95 % interval, as the next
    high: float
    p: float  # how often a difference at least as large is seen where there is none
    below: float  # of the 90 % interval: with the next, two one-sided tests at 5 %
    above: float
    variance: Variance
    apart: tuple[Apart, Apart]  # of each system
    n: int
    effective: float  # number of them: fewer than n, where they are groups of unequal sizes
    seeds: tuple[int, int]

    @property
    def freedom(self) -> float:
        """Degrees of."""
        return _freedom(self.variance, self.apart, self.effective, min(self.seeds))

    @property
    def detectable(self) -> float:
        """How large a difference must be to be found in four of five such experiments."""
        from scipy import stats

        error = math.sqrt(self.variance.total)
        return error * float(stats.t.ppf(1 - LEVEL / 2, self.freedom) + stats.t.ppf(POWER, self.freedom))

    def within(self, margin: float) -> bool:
        """Whether the systems are equivalent: two one-sided tests (Schuirmann 1987) reject a loss and a gain of more.

        Raises:
            ValueError: the margin is not above 0: nothing is ever proven to be exactly the same.
        """
        if not margin > 0:
            raise ValueError(f"margin must be above 0, got {margin}")
        return -margin < self.below and self.above < margin

    @property
    def turned(self) -> Difference:
        """The same the other way round."""
        return replace(
            self,
            value=-self.value,
            low=-self.high,
            high=-self.low,
            below=-self.above,
            above=-self.below,
            apart=self.apart[::-1],
            seeds=self.seeds[::-1],
        )


def difference(ours_SN: np.ndarray, theirs_SN: np.ndarray, effective: float | None = None) -> Difference:
    """How far apart two systems are, for test items and seeds of the kind that were drawn.

    Items and seeds are crossed: every seed of a system is scored on all items. The variances of the mean over items and
    over seeds are those of `finetune.variance`, what they have in common counts once, and Student's interval has the
    degrees of freedom of such a sum (after Satterthwaite 1946). Of unequal numbers of seeds the fewer count for both:
    with each system's own, equal systems whose seeds differ alike were called better in up to a tenth of experiments
    (CHANGELOG.md). Where seeds do not matter the interval is a little too wide, and where only those of the system with
    two of them do, it is too narrow (outputs/tables/claims.md).

    Args:
        effective: number of items that are groups of others (`stats.effective`); None: as many as there are.

    Raises:
        ValueError: fewer than two seeds of a system, fewer than two items, or not the same number of items.
    """
    if ours_SN.shape[1] != theirs_SN.shape[1]:
        raise ValueError(f"{ours_SN.shape[1]} and {theirs_SN.shape[1]} test items: they are not the same")
    n, seeds = ours_SN.shape[1], (len(ours_SN), len(theirs_SN))
    if n < 2 or min(seeds) < 2:
        raise ValueError(f"an interval needs 2 test items and 2 seeds of both, got {n} and {min(seeds)}")
    from scipy import stats

    gap_N = ours_SN.mean(0) - theirs_SN.mean(0)
    both = (ours_SN, theirs_SN)
    between = [of_runs(each_SN) / len(each_SN) for each_SN in both]
    variance = Variance(items=of_items(gap_N), seeds=max(0.0, sum(between)))
    apart = tuple(_apart(each_SN, own) for each_SN, own in zip(both, between, strict=True))
    count = n if effective is None else effective
    freedom = _freedom(variance, apart, count, min(seeds))
    value, error = round(float(gap_N.mean()), 12), math.sqrt(variance.total)  # the last digits are those of adding up
    half, less = (float(stats.t.ppf(1 - level, freedom)) * error for level in (LEVEL / 2, LEVEL))
    p = float(2 * stats.t.sf(abs(value) / error, freedom)) if error else float(value == 0)
    return Difference(
        value=value,
        low=value - half,
        high=value + half,
        p=p,
        below=value - less,
        above=value + less,
        variance=variance,
        apart=(apart[0], apart[1]),
        n=n,
        effective=count,
        seeds=seeds,
    )


def _apart(scores_SN: np.ndarray, between: float) -> Apart:
    whole = float(scores_SN.mean(1).var(ddof=1)) / len(scores_SN)
    own = min(max(between, 0.0), whole)
    return Apart(between=own, within=whole - own)


def _freedom(variance: Variance, apart: Sequence[Apart], n: float, seeds: float) -> float:
    """Of n items and so many seeds, the fewer of both. What is estimated of seeds is how far their scores are apart."""
    of_items = max(1.0, n - 1)
    each_system = [each.between + each.within for each in apart]
    whole = sum(each_system)
    if not whole:
        return of_items
    of_seeds = (seeds - 1) / sum((each / whole) ** 2 for each in each_system)  # Welch's, were there as many of both
    by_seeds = whole / max(whole, variance.total)
    return 1 / ((1 - by_seeds) ** SHARED / of_items + by_seeds**SHARED / of_seeds)


def share(scores_SN: np.ndarray, effective: float | None = None) -> Estimate:
    """The mean of scores from 0 to 1, with its 95 % interval over items and seeds; of one seed over items alone.

    It is the score interval (Wilson 1927) of as many items as would be so uncertain without seeds, by Student's
    quantile of what both were estimated from; of one seed that of its items, where each was right or not. Where every
    seed had all right, or all wrong, nothing is known of seeds, and it is that of the items. Two seeds say little of
    others, and may agree by chance: of a hundred made-up experiments it holds the truth in 89 to 98 with two, where it
    may be very wide, in 93 to 97 with three, in 94 to 96 with five (outputs/tables/claims.md).
    """
    seeds, n = scores_SN.shape
    value = round(float(scores_SN.mean()), 12)  # groups of items add up to it but for the last digits
    variance, freedom = 0.0, math.inf
    if seeds > 1 and n > 1:
        found = difference(scores_SN, np.zeros_like(scores_SN), effective)
        variance, freedom = found.variance.total, found.freedom
    elif n > 1 and not np.isin(scores_SN, (0, 1)).all():
        variance, freedom = of_items(scores_SN[0]), max(1.0, (n if effective is None else effective) - 1)
    items = value * (1 - value) / variance if variance else float(n)
    return score_interval(value, items, freedom if variance else math.inf, n)


def mcnemar(ours_N: np.ndarray, theirs_N: np.ndarray) -> float:
    """How often two systems of equal accuracy disagree this unevenly: McNemar's exact test (McNemar 1947).

    Args:
        ours_N, theirs_N: whether each item was right.
    """
    from scipy import stats

    only_ours = int((ours_N & ~theirs_N).sum())
    apart = int((ours_N ^ theirs_N).sum())
    return float(stats.binomtest(only_ours, apart).pvalue) if apart else 1.0


def permutation(ours_N: np.ndarray, theirs_N: np.ndarray, draws: int = 10_000) -> float:
    """How often swapping the systems item by item gives a difference of means at least as large (Fisher 1935)."""
    gap_N = ours_N - theirs_N
    gap_N = gap_N[gap_N != 0]
    if not len(gap_N):
        return 1.0
    rng, seen, observed = np.random.default_rng(0), 0, abs(gap_N.sum())
    for start in range(0, draws, 1000):
        signs = rng.integers(2, size=(min(1000, draws - start), len(gap_N)), dtype=np.int8) * 2 - 1
        seen += int((np.abs(signs @ gap_N) >= observed - 1e-9).sum())
    return (seen + 1) / (draws + 1)


def bootstrap(ours_N: np.ndarray, theirs_N: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the difference of means over test items: BCa (Efron 1987), items drawn in pairs."""
    from scipy import stats

    gap_N = ours_N - theirs_N
    if np.ptp(gap_N) == 0:
        return float(gap_N[0]), float(gap_N[0])
    batch = max(1, 10**6 // len(gap_N))  # of a million items in memory at a time
    found = stats.bootstrap(
        (gap_N,), np.mean, n_resamples=2000, method="BCa", batch=batch, rng=np.random.default_rng(0)
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def holm(ps: Sequence[float]) -> list[float]:
    """Each p as it counts among so many: the chance of any false claim stays below the level (Holm 1979)."""
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    adjusted, most = [0.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        most = max(most, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = most
    return adjusted


def needed(found: Difference, margin: float, among: int = 1) -> tuple[int | None, int | None]:
    """Of what is undecided: about how many test items, or seeds, alone would settle it in four of five experiments
    (`POWER`); None: no number would.

    Settled is a difference that the interval leaves out 0 for, or that lies with it inside the margin, were it as large
    as it was measured: for no better is known. One of several comparisons is held to its share of the level, which is
    more than `holm` asks of any but the first.
    """
    n, fewest, level = found.n, min(found.seeds), LEVEL / among
    return (
        _fewest(n, lambda items: _settled(found, margin, level, items / n, 1.0)),
        _fewest(fewest, lambda seeds: _settled(found, margin, level, 1.0, seeds / fewest)),
    )


def _settled(found: Difference, margin: float, level: float, items: float, seeds: float) -> bool:
    """Whether so many times the items and the seeds would do."""
    from scipy import stats

    variance = Variance(items=found.variance.items / items, seeds=found.variance.seeds / seeds)
    if not variance.total:
        return True
    apart = [Apart(between=each.between / seeds, within=each.within / items / seeds) for each in found.apart]
    freedom = _freedom(variance, apart, found.effective * items, min(found.seeds) * seeds)
    error = math.sqrt(variance.total)
    half, less, more = (float(stats.t.ppf(each, freedom)) * error for each in (1 - level / 2, 1 - LEVEL, POWER))
    return abs(found.value) > half + more or abs(found.value) + less + more < margin


def _fewest(count: int, settles: Callable[[int], bool]) -> int | None:
    """The least number above `count` that settles it, if that is at most `MOST` times as many."""
    low, high = count, 2 * count
    while not settles(high):
        low, high = high, 2 * high
        if high > MOST * count:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settles(middle) else (middle, high)
    return high
