"""What the score of one run owes to which chance: test items, the seed, the rows that happened to be labelled, tuning.

D draws of training rows, S seeds with each, N test items; R runs of whatever is drawn; T trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Components:
    """Standard deviations of a run's mean score, each as if nothing else were left to chance. None: of one only."""

    items: float
    seeds: float | None
    draws: float | None


def components(scores_DSN: np.ndarray) -> Components:
    """Items crossed with draws, seeds within draws: a variance analysis by moments (Searle, Casella, McCulloch 1992).

    What items and runs have in common — one run errs here, another there — counts as the items', for other items would
    bring other errors. A variance that comes out below nothing is nothing.
    """
    draws, seeds, n = scores_DSN.shape
    within, between = None, None
    if seeds > 1:
        within = max(0.0, float(np.mean([of_runs(each_SN) for each_SN in scores_DSN])))
    if draws > 1:
        between = max(0.0, of_runs(scores_DSN.mean(1)) - (within or 0.0) / seeds)
    items = float(np.mean([of_items(run_N) for run_N in scores_DSN.reshape(-1, n)])) if n > 1 else 0.0
    return Components(items=math.sqrt(items), seeds=_root(within), draws=_root(between))


def of_items(scores_N: np.ndarray) -> float:
    """The variance of a mean over N items, were others of their kind drawn."""
    return float(scores_N.var(ddof=1)) / len(scores_N)


def of_runs(scores_RN: np.ndarray) -> float:
    """The variance of a run's mean score, were other runs drawn; of endless items, so it may come out below nothing.

    What items and runs have in common — one run errs here, another there — moves every mean a little and is taken off:
    what neither the run nor the item explains, over N. The variance over items has it already.
    """
    runs, n = scores_RN.shape
    means_R = scores_RN.mean(1)
    rest_RN = scores_RN - scores_RN.mean(0) - means_R[:, None] + scores_RN.mean()
    common = float((rest_RN**2).sum()) / max(1, (runs - 1) * (n - 1))
    return float(means_R.var(ddof=1)) - common / n


def of_choice(scores_T: Sequence[float]) -> float:
    """The variance of the best of T trials, were as many drawn anew of those that were made (Dodge and others 2019,
    "Show Your Work"): the greatest of T draws is the k-th or below it (k / T)^T of times.
    """
    ordered_T, count = np.sort(np.asarray(scores_T, dtype=float)), len(scores_T)
    weights_T = np.diff((np.arange(count + 1) / count) ** count)
    mean = float(weights_T @ ordered_T)
    return float(weights_T @ (ordered_T - mean) ** 2)


def crossed_error(scores_SN: np.ndarray) -> float:
    """The standard error of the mean over S seeds and N test items, for other seeds and items of the kind drawn.

    Every seed is scored on all items. Of one seed it is the error over items alone.

    Raises:
        ValueError: fewer than two items.
    """
    seeds, n = scores_SN.shape
    if n < 2:
        raise ValueError(f"a standard error needs 2 test items, got {n}")
    between = of_runs(scores_SN) / seeds if seeds > 1 else 0.0
    return math.sqrt(of_items(scores_SN.mean(0)) + max(0.0, between))


def _root(variance: float | None) -> float | None:
    return None if variance is None else math.sqrt(variance)
