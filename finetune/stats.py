"""Pure numbers: an estimate never travels without its interval and its n."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

DRAWS = 2000  # resamples of a bootstrap
CELLS = 10**6  # draws times items in memory at a time


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
    if n == 0:
        return Estimate(math.nan, None, None, 0)
    from scipy import stats  # most of a second to import, and who shows a recipe needs no interval

    interval = stats.binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), n)


def mean(values: np.ndarray) -> Estimate:
    """The mean of a number per test item, with Student's interval."""
    n = len(values)
    value = float(np.mean(values)) if n else math.nan
    if n < 2:
        return Estimate(value, None, None, n)
    from scipy import stats

    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1)) / math.sqrt(n)
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


def rate(amounts_N: np.ndarray, sizes_N: np.ndarray) -> Estimate:
    """A total per unit, of N items of several units each, with Student's interval of a ratio (Cochran 1977).

    Items without a unit say nothing and are not counted.
    """
    amounts_N, sizes_N = amounts_N[sizes_N > 0], sizes_N[sizes_N > 0]
    if not len(sizes_N):
        return Estimate(math.nan, None, None, 0)
    value = float(amounts_N.sum() / sizes_N.sum())
    around = mean((amounts_N - value * sizes_N) / sizes_N.mean())
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


def bootstrap(
    targets: np.ndarray, outputs: np.ndarray, scores: Mapping[str, tuple[float, Callable[[np.ndarray], np.ndarray]]]
) -> dict[str, Estimate]:
    """Scores of a confusion matrix with their percentile bootstrap intervals over test items (Efron 1979).

    Drawing n items with replacement is drawing the cells of their confusion matrix from a multinomial distribution:
    thousands of resamples cost milliseconds, and all scores are of the same ones.

    Args:
        scores: of each its value, and what it is of matrices stacked as (draws, classes, classes).
    """
    n = len(targets)
    if n < 2:
        return {name: Estimate(value, None, None, n) for name, (value, _) in scores.items()}
    classes = int(max(targets.max(), outputs.max())) + 1
    cells = np.bincount(targets * classes + outputs, minlength=classes**2)
    rng, at_once = np.random.default_rng(0), max(1, 10**7 // classes**2)  # a thousand classes must fit in memory too
    found: dict[str, list[np.ndarray]] = {name: [] for name in scores}
    for start in range(0, DRAWS, at_once):
        drawn = rng.multinomial(n, cells / n, size=min(at_once, DRAWS - start)).reshape(-1, classes, classes)
        for name, (_, of_confusion) in scores.items():
            found[name].append(of_confusion(drawn))
    ends = {name: np.percentile(np.concatenate(each), [2.5, 97.5]).tolist() for name, each in found.items()}
    return {name: Estimate(value, *ends[name], n=n) for name, (value, _) in scores.items()}


def resampled(value: float, counts_NK: np.ndarray, score: Callable[[np.ndarray], float], draws: int) -> Estimate:
    """A score of the sums of K counts over N items, with its percentile bootstrap interval over them (Efron 1979)."""
    n = len(counts_NK)
    if n < 2:
        return Estimate(value, None, None, n)
    rng = np.random.default_rng(0)
    scores = [score(rng.multinomial(n, np.full(n, 1 / n)) @ counts_NK) for _ in range(draws)]
    low, high = np.percentile(scores, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n)


def redrawn(score: Callable[[np.ndarray], np.ndarray], n: int) -> Estimate:
    """A score of n items with its percentile bootstrap interval over them (Efron 1979).

    Args:
        score: of several draws (draws,), by how often each item is in each of them (draws, n).
    """
    value = float(score(np.ones((1, n)))[0])
    if n < 2:
        return Estimate(value, None, None, n)
    rng, at_once, scores = np.random.default_rng(0), max(1, CELLS // n), []
    for start in range(0, DRAWS, at_once):
        draws = min(at_once, DRAWS - start)
        drawn = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
        scores.append(score(np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n)))
    low, high = np.percentile(np.concatenate(scores), [2.5, 97.5])
    return Estimate(value, float(low), float(high), n)


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
