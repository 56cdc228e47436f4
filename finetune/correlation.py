"""How far numbers go with others: Pearson's and Spearman's correlation, each with its interval.

Where all numbers of one side are equal there is none; it counts as 0, since nothing is told apart.

N items, D draws of a bootstrap, G different numbers among the items.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from finetune import resampling
from finetune.stats import Estimate

EQUAL = 1e-20  # a variance, of numbers of about 1, that is rounding


def pearson(targets_N: np.ndarray, outputs_N: np.ndarray, groups_N: np.ndarray | None = None) -> Estimate:
    """How far they lie on a rising line (Pearson 1896)."""
    targets_N, outputs_N = _standardised(targets_N), _standardised(outputs_N)
    return resampling.redrawn(lambda counts_DN: _correlation(counts_DN, targets_N, outputs_N), len(targets_N), groups_N)


def coefficient(targets_N: np.ndarray, outputs_N: np.ndarray) -> float:
    """Pearson's without its interval, which takes 2000 times as long."""
    return float(_correlation(np.ones((1, len(targets_N))), _standardised(targets_N), _standardised(outputs_N))[0])


def spearman(targets_N: np.ndarray, outputs_N: np.ndarray, groups_N: np.ndarray | None = None) -> Estimate:
    """How far their order is the same (Spearman 1904): the correlation of ranks, which every draw has of its own."""
    targets, outputs = _ranks(targets_N), _ranks(outputs_N)
    return resampling.redrawn(
        lambda each_DN: _correlation(each_DN, targets(each_DN), outputs(each_DN)), len(targets_N), groups_N
    )


def _standardised(values_N: np.ndarray) -> np.ndarray:
    values_N = values_N.astype(np.float64)
    return (values_N - values_N.mean()) / values_N.std() if np.ptp(values_N) else np.zeros(len(values_N))


def _ranks(values_N: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """From how often each item is in each draw to its rank there, as a share (D, N); of equal ones their mean rank."""
    _, group_N = np.unique(values_N, return_inverse=True)
    order_N = np.argsort(group_N, kind="stable")
    first_G = np.flatnonzero(np.r_[True, np.diff(group_N[order_N]) > 0])

    def ranks(counts_DN: np.ndarray) -> np.ndarray:
        sizes_DG = np.add.reduceat(counts_DN[:, order_N], first_G, axis=1)
        middle_DG = np.cumsum(sizes_DG, axis=1) - sizes_DG / 2
        return (middle_DG / counts_DN.sum(axis=1, keepdims=True))[:, group_N]  # of whole groups not always as many

    return ranks


def _correlation(counts_DN: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """(D,): of numbers of about 1 that occur as often as counted.

    Args:
        ours, theirs: (N,), or (D, N) where each draw has its own.
    """
    share_DN = counts_DN / counts_DN.sum(axis=1, keepdims=True)
    ours_DN, theirs_DN = (each - (share_DN * each).sum(axis=1, keepdims=True) for each in (ours, theirs))
    covariance_D = (share_DN * ours_DN * theirs_DN).sum(axis=1)
    variances = [(share_DN * each_DN**2).sum(axis=1) for each_DN in (ours_DN, theirs_DN)]
    equal_D = (variances[0] <= EQUAL) | (variances[1] <= EQUAL)
    found_D = covariance_D / np.sqrt(np.where(equal_D, 1.0, variances[0] * variances[1]))
    return np.where(equal_D, 0.0, found_D.clip(-1.0, 1.0))
