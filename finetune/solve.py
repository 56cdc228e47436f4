"""The best linear head for given features: solved, not trained, because its loss is convex.

N examples, E width, C classes, P penalties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finetune.progress import Silent

PORTION = 65536  # examples in memory at a time
MOST = 500  # passes over the features
ENOUGH = 1e-7  # loss: an iteration that gains less is the last
ROUNDING = 1e-6  # of the largest variance of a direction: one that is no larger is none


@contextmanager
def threads_for(count: int) -> Iterator[None]:
    """One thread for as many examples as are in memory at a time, all of them for more.

    A pass over few takes less than threads take to meet: beside another process 30 times less.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if count <= PORTION else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def logistic(
    head: nn.Linear,
    features_NE: Tensor,
    targets_N: Tensor,
    penalty: float,
    progress: Silent,
    prepare: Callable[[Tensor], Tensor] = torch.Tensor.float,
) -> int:
    """Give a linear layer the weights W and bias of the least mean cross-entropy plus ½ · penalty · ‖W‖².

    By L-BFGS (Liu and Nocedal 1989) from zero, so that neither a seed nor an order of examples has a say.

    Args:
        features_NE: in memory or on disk: no more than a portion of them is prepared at a time.
        prepare: what the layer reads of a portion of the features, on its device.

    Returns:
        Passes over the features.
    """
    count, steps = len(targets_N), 0
    parts = [slice(start, start + PORTION) for start in range(0, count, PORTION)]
    # few are prepared once, many at every pass
    held = [(prepare(features_NE), targets_N.to(head.weight.device))] if len(parts) == 1 else None
    progress.start("head", MOST, "pass")

    def loss() -> Tensor:
        total = 0.5 * penalty * head.weight.square().sum()
        head.zero_grad()
        total.backward()
        total = total.detach()
        for read_NE, known_N in held or (
            (prepare(features_NE[part]), targets_N[part].to(head.weight.device)) for part in parts
        ):
            part_loss = F.cross_entropy(head(read_NE), known_N, reduction="sum") / count
            part_loss.backward()
            total += part_loss.detach()
        nonlocal steps
        steps += 1
        progress.advance(1)
        return total

    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
    optimizer = torch.optim.LBFGS(
        head.parameters(),
        max_iter=MOST,
        max_eval=MOST,
        tolerance_change=ENOUGH,
        tolerance_grad=1e-6,
        history_size=20,
        line_search_fn="strong_wolfe",
    )
    with threads_for(count):
        optimizer.step(loss)
    head.zero_grad()
    progress.end()
    return steps


def ridge(
    features_NE: Tensor,
    targets_N: Tensor,
    wanted: Callable[[Tensor], Tensor],
    penalties: Sequence[float],
    prepare: Callable[[Tensor], Tensor] = torch.Tensor.float,
) -> tuple[Tensor, Tensor]:
    """Linear maps to outputs with the least mean squared error plus penalty · ‖W‖², one a penalty.

    All from one eigendecomposition of the features' covariance (Hastie, Tibshirani and Friedman 2009, equation 3.47).

    Args:
        features_NE: of mean zero once prepared, in memory or on disk: a portion of them is prepared at a time.
        wanted: the outputs (N, C) that some targets ask for.

    Returns:
        W (P, C, E), and the bias (C), which is the mean of the outputs.
    """
    count, width = features_NE.shape
    parts = [slice(start, start + PORTION) for start in range(0, count, PORTION)]
    mean_C = torch.stack([wanted(targets_N[part]).double().sum(0) for part in parts]).sum(0) / count
    covariance_EE, moments_EC = torch.zeros(width, width).double(), torch.zeros(width, len(mean_C)).double()
    for part in parts:
        read_NE = prepare(features_NE[part]).cpu()
        known_NC = wanted(targets_N[part]).float() - mean_C.float()
        covariance_EE += (read_NE.T @ read_NE).double() / count
        moments_EC += (read_NE.T @ known_NC).double() / count
    values_E, vectors_EE = torch.linalg.eigh(covariance_EE)
    turned_EC = vectors_EE.T @ moments_EC
    weights_PCE = torch.stack([(vectors_EE @ (turned_EC / _divisors(values_E, each)[:, None])).T for each in penalties])
    return weights_PCE.float(), mean_C.float()


def _divisors(values_E: Tensor, penalty: float) -> Tensor:
    """Of each direction's moment: without a penalty infinite, where examples do not differ in it."""
    values_E = values_E.clamp(min=0.0)
    if penalty:
        return values_E + penalty
    return torch.where(values_E > ROUNDING * values_E.max(), values_E, torch.inf)
