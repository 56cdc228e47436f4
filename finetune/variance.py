"""What the score of one run owes to which chance: test items, the seed, or the rows that happened to be labelled.

D draws of training rows, S seeds with each, N test items.
"""

from __future__ import annotations

import math
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

    What items and runs have in common — one seed errs here, another there — moves every mean a little, and is taken off
    where it would count as a difference of seeds or draws. A variance that comes out below nothing is nothing.
    """
    draws, seeds, n = scores_DSN.shape
    of_draw_DN = scores_DSN.mean(1)
    items = float(scores_DSN.mean((0, 1)).var(ddof=1)) / n if n > 1 else 0.0
    within, between = None, None
    if seeds > 1:
        spread = float(scores_DSN.mean(2).var(axis=1, ddof=1).mean())
        within = max(0.0, spread - float(np.mean([_apart(each_SN) for each_SN in scores_DSN])) / n)
    if draws > 1:
        spread = float(of_draw_DN.mean(1).var(ddof=1))
        between = max(0.0, spread - (within or 0.0) / seeds - _apart(of_draw_DN) / n)
    return Components(items=math.sqrt(items), seeds=_root(within), draws=_root(between))


def _apart(scores_RN: np.ndarray) -> float:
    """The variance of R runs' scores that neither the run nor the item explains."""
    runs, n = scores_RN.shape
    rest_RN = scores_RN - scores_RN.mean(0) - scores_RN.mean(1, keepdims=True) + scores_RN.mean()
    return float((rest_RN**2).sum()) / max(1, (runs - 1) * (n - 1))


def _root(variance: float | None) -> float | None:
    return None if variance is None else math.sqrt(variance)
