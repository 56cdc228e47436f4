"""Made-up experiments whose truth is known: what is claimed of two systems is held against them.

N test items, S seeds.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats


def experiment(
    rng: np.random.Generator,
    items: int,
    seeds: tuple[int, int],
    gap: float,
    wobble: float,
    others: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong (S, N) of two systems on the same items: some are hard for both, and a seed makes one better.

    Args:
        gap: how much better the first is.
        wobble: deviation of what a seed adds, where items vary by 1.3 for each of the two.
        others: that of the second system; None: the same.
    """
    hard_N = rng.normal(0.8, 1.2, size=items)
    found = []
    for shift, count, own in ((gap, seeds[0], wobble), (0.0, seeds[1], wobble if others is None else others)):
        own_N = hard_N + rng.normal(0, 0.5, size=items)  # what is hard for one of the systems alone
        luck_S1 = rng.normal(0, own, size=(count, 1))
        found.append((own_N + shift + luck_S1 + rng.normal(0, 0.7, size=(count, items)) > 0).astype(float))
    return found[0], found[1]


def even(wobble: float, others: float) -> float:
    """The gap at which both systems of that experiment have the same accuracy, whatever seeds do to each."""
    return 0.8 * (_deviation(wobble) / _deviation(others) - 1)


def accuracy(gap: float, wobble: float) -> float:
    """Of one system of that experiment over all items and seeds."""
    return float(stats.norm.cdf((0.8 + gap) / _deviation(wobble)))


def truth(gap: float, wobble: float, others: float | None = None) -> float:
    """The difference of accuracies of that experiment over all items and seeds."""
    return accuracy(gap, wobble) - accuracy(0.0, wobble if others is None else others)


def _deviation(wobble: float) -> float:
    return math.sqrt(1.2**2 + 0.5**2 + 0.7**2 + wobble**2)
