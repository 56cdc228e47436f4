"""From how many training rows on one system is better than another: where their curves cross, and how sure of that.

B budgets of rows, S seeds, N test items, D draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finetune.variance import of_runs

DRAWS = 2000
PORTION = 200  # draws in memory at a time: each has a number for every item


@dataclass(frozen=True, kw_only=True)
class Crossover:
    """Training rows; 0: ahead at the fewest that were tried already; infinite: not yet at the most."""

    value: float
    low: float  # of the 95 % interval
    high: float


def crossover(rows: Sequence[int], ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> Crossover:
    """The number of rows from which on ours stays ahead, between two budgets by a line over its logarithm.

    The interval is a percentile bootstrap (Efron 1979) over test items, drawn for all budgets at once, as they are the
    same. What other seeds would add at each of them is drawn from Student's distribution, as wide as the seeds that
    there are lie apart beyond what items do: of two or three a bootstrap draws too few that differ.

    Args:
        rows: of the budgets, from few to many.
        ours, theirs: scores (S, N) at each.

    Raises:
        ValueError: fewer than two budgets.
    """
    if len(rows) < 2:
        raise ValueError(f"curves cross between budgets: 2 or more are needed, got {len(rows)}")
    rng, n, log_B = np.random.default_rng(0), ours[0].shape[1], np.log(np.asarray(rows, dtype=float))
    gap_B = np.array([one_SN.mean() - other_SN.mean() for one_SN, other_SN in zip(ours, theirs, strict=True)]).round(12)
    drawn = []
    for start in range(0, DRAWS, PORTION):
        share_DN = rng.multinomial(n, np.full(n, 1 / n), size=min(PORTION, DRAWS - start)) / n
        drawn.append([_drawn(*both, share_DN, rng) for both in zip(ours, theirs, strict=True)])
    # A level draw is 0, not the last bit of a sum that each processor adds up in another order.
    gap_DB = np.concatenate(drawn, axis=1).T.round(12)
    low, high = np.percentile([_crossing(log_B, each_B) for each_B in gap_DB], [2.5, 97.5], method="nearest")
    return Crossover(value=_crossing(log_B, gap_B), low=float(low), high=float(high))


def _drawn(ours_SN: np.ndarray, theirs_SN: np.ndarray, share_DN: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The difference of the means over the items of each draw, with what as many other seeds of both would add."""
    gap_D = share_DN @ (ours_SN.mean(0) - theirs_SN.mean(0))
    freedom = 2 * (min(len(ours_SN), len(theirs_SN)) - 1)  # of both; of unequal numbers the fewer count, as in `paired`
    for scores_SN in (ours_SN, theirs_SN) if freedom else ():
        error = math.sqrt(max(0.0, of_runs(scores_SN)) / len(scores_SN))
        gap_D = gap_D + error * rng.standard_t(freedom, size=len(gap_D))
    return gap_D


def _crossing(log_B: np.ndarray, gap_B: np.ndarray) -> float:
    behind = np.flatnonzero(gap_B <= 0)
    if not len(behind):
        return 0.0
    last = int(behind[-1])
    if last == len(gap_B) - 1:
        return float("inf")
    share = -gap_B[last] / (gap_B[last + 1] - gap_B[last])
    return float(np.exp(log_B[last] + share * (log_B[last + 1] - log_B[last])))
