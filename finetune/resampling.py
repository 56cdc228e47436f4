"""Intervals of scores that are no mean: the items are drawn anew, and the score of each draw is looked at.

N test items, of which some may belong together: see `finetune.stats`. K counts of each item.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from finetune.stats import Estimate, effective, summed

DRAWS = 2000  # resamples of a bootstrap
TAIL = 0.025  # on either side of a 95 % interval
CELLS = 10**6  # draws times items in memory at a time


def bootstrap(
    targets: np.ndarray,
    outputs: np.ndarray,
    scores: Mapping[str, tuple[float, Callable[[np.ndarray], np.ndarray]]],
    groups_N: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Scores of a confusion matrix with their percentile bootstrap intervals over test items (Efron 1979).

    Drawing n items with replacement is drawing the cells of their confusion matrix from a multinomial distribution:
    thousands of resamples cost milliseconds, and all scores are of the same ones.

    Args:
        scores: of each its value, and what it is of matrices stacked as (draws, classes, classes).
    """
    n = len(targets)
    if (n if groups_N is None else len(np.unique(groups_N))) < 2:
        return {name: Estimate(value, None, None, n) for name, (value, _) in scores.items()}
    classes = int(max(targets.max(), outputs.max())) + 1
    draw = _redraw(targets * classes + outputs, classes**2, groups_N)
    rng, at_once = np.random.default_rng(0), max(1, 10**7 // classes**2)  # a thousand classes must fit in memory too
    found: dict[str, list[np.ndarray]] = {name: [] for name in scores}
    for start in range(0, DRAWS, at_once):
        drawn = draw(rng, min(at_once, DRAWS - start)).reshape(-1, classes, classes)
        for name, (_, of_confusion) in scores.items():
            found[name].append(of_confusion(drawn))
    return {
        name: Estimate(value, *_ends(np.concatenate(found[name]), groups_N), n) for name, (value, _) in scores.items()
    }


def _redraw(
    cells_N: np.ndarray, count: int, groups_N: np.ndarray | None
) -> Callable[[np.random.Generator, int], np.ndarray]:
    """How often each of so many cells is among items that are drawn anew, in each of several draws: (draws, count)."""
    if groups_N is None:
        shares = np.bincount(cells_N, minlength=count) / len(cells_N)
        return lambda rng, draws: rng.multinomial(len(cells_N), shares, size=draws)
    from scipy import sparse

    _, group_N = np.unique(groups_N, return_inverse=True)
    groups = int(group_N.max()) + 1
    of_cell = sparse.csr_array((np.ones(len(cells_N), dtype=np.int64), (cells_N, group_N)), shape=(count, groups))
    even = np.full(groups, 1 / groups)
    return lambda rng, draws: np.asarray(of_cell @ rng.multinomial(groups, even, size=draws).T).T


def resampled(
    value: float,
    counts_NK: np.ndarray,
    score: Callable[[np.ndarray], float],
    draws: int,
    groups_N: np.ndarray | None = None,
) -> Estimate:
    """A score of the sums of K counts over N items, with its percentile bootstrap interval over them (Efron 1979)."""
    counts_GK = counts_NK if groups_N is None else summed(counts_NK, groups_N)
    drawn = len(counts_GK)
    if drawn < 2:
        return Estimate(value, None, None, len(counts_NK))
    rng = np.random.default_rng(0)
    scores = [score(rng.multinomial(drawn, np.full(drawn, 1 / drawn)) @ counts_GK) for _ in range(draws)]
    return Estimate(value, *_ends(np.array(scores), groups_N), n=len(counts_NK))


def redrawn(score: Callable[[np.ndarray], np.ndarray], n: int, groups_N: np.ndarray | None = None) -> Estimate:
    """A score of n items with its percentile bootstrap interval over them (Efron 1979).

    Args:
        score: of several draws (draws,), by how often each item is in each of them (draws, n).
    """
    value = float(score(np.ones((1, n)))[0])
    names, group_N = np.unique(np.arange(n) if groups_N is None else groups_N, return_inverse=True)
    groups = len(names)
    if groups < 2:
        return Estimate(value, None, None, n)
    rng, at_once, scores = np.random.default_rng(0), max(1, CELLS // n), []
    for start in range(0, DRAWS, at_once):
        draws = min(at_once, DRAWS - start)
        drawn = rng.integers(groups, size=(draws, groups)) + groups * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * groups).reshape(draws, groups)
        scores.append(score(times[:, group_N]))
    return Estimate(value, *_ends(np.concatenate(scores), groups_N), n=n)


def _ends(scores: np.ndarray, groups_N: np.ndarray | None) -> tuple[float, float]:
    """Of the interval that draws of a bootstrap give."""
    tail = TAIL if groups_N is None else tail_of(effective(groups_N))
    low, high = np.quantile(scores, [tail, 1 - tail]).tolist()
    return low, high


def tail_of(groups: float) -> float:
    """Which share of a bootstrap's draws of so many groups lies on either side of a 95 % interval.

    In draws of few groups a score differs by less than it does with others; the interval is wider by as much as
    Student's is, and its variance (Hesterberg 2015, the expanded percentile interval).
    """
    from scipy import stats

    groups = max(2.0, groups)
    return float(stats.norm.sf(stats.t.ppf(1 - TAIL, groups - 1) * math.sqrt(groups / (groups - 1))))
