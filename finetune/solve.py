"""The best linear head for given features: solved, not trained, because its loss is convex.

N examples, E width, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finetune.progress import Silent

PORTION = 65536  # examples in memory at a time
MOST = 500  # passes over the features
ENOUGH = 1e-7  # loss: an iteration that gains less is the last


def logistic(head: nn.Linear, features_NE: Tensor, targets_N: Tensor, penalty: float, progress: Silent) -> int:
    """Give a linear layer the weights W and bias of the least mean cross-entropy plus ½ · penalty · ‖W‖².

    By L-BFGS (Liu and Nocedal 1989) from zero, so that neither a seed nor an order of examples has a say.

    Args:
        features_NE: on the layer's device, or on disk: a portion of them is moved at a time.

    Returns:
        Passes over the features.
    """
    count, steps = len(targets_N), 0
    progress.start("head", MOST, "pass")

    def loss() -> Tensor:
        total = 0.5 * penalty * head.weight.square().sum()
        head.zero_grad()
        total.backward()
        total = total.detach()
        for start in range(0, count, PORTION):
            part = slice(start, start + PORTION)
            logits_NC = head(features_NE[part].to(head.weight))
            part_loss = F.cross_entropy(logits_NC, targets_N[part].to(logits_NC.device), reduction="sum") / count
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
    optimizer.step(loss)
    head.zero_grad()
    progress.end()
    return steps
