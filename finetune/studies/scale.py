"""Why scores are divided by √d_k: the softmax of larger ones hears one key only, and learns nothing of the others.

T queries, S keys, D their width; one batch and one head.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.linalg import vector_norm

from finetune.attention.cores import Core, mix
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.cores.unscaled import Unscaled
from finetune.points import Point, Quantity
from finetune.studies import Study

ENTROPY, OF_SCORES, OF_QUERIES = "entropy, % of uniform", "gradient of scores", "gradient of queries"
CORES: dict[str, Core] = {"scaled": ScaledDotProduct(), "unscaled": Unscaled()}


@dataclass(frozen=True, kw_only=True)
class Scale(Study):
    """Queries and keys of deviation 1 have products of deviation √d_k (arXiv 1706.03762, section 3.2.1, note 4)."""

    title: ClassVar[str] = "Why divide by √d_k"
    lines: ClassVar[str] = "attention"
    along: ClassVar[str] = "d_k"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity(name=ENTROPY, least=0, most=100),
        Quantity(name=OF_SCORES, steep=True),
        Quantity(name=OF_QUERIES, steep=True, drawn=False),
    )
    notes: ClassVar[tuple[str, ...]] = (
        "queries, keys and values are normal numbers of deviation 1; entropy is that of a query's weights, the mean "
        "over queries, and 100 % where all keys weigh the same",
        "gradients are norms, the median over queries, of a loss whose gradient has norm 1 at each query's context",
    )

    widths: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512, 1024)  # d_k
    queries: int = 256
    keys: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(1, "widths", "queries")
        self.check_at_least(2, "keys")

    def measure(self, seed: int) -> Iterable[Point]:
        drawn = {width: self._drawn(width) for width in self.widths}  # both cores get the same numbers
        for name, core in CORES.items():
            for width, numbers in drawn.items():
                yield Point(line=name, at=width, values=measured(core, *numbers))

    def _drawn(self, width: int) -> tuple[Tensor, ...]:
        return tuple(
            torch.randn(1, 1, rows, width, dtype=torch.float64)  # of what is left of a gradient float32 has nothing
            for rows in (self.queries, self.keys, self.keys, self.queries)
        )


def measured(core: Core, q_11TD: Tensor, k_11SD: Tensor, v_11SD: Tensor, towards_11TD: Tensor) -> dict[str, float]:
    """The core's steps one by one, to look between them.

    Args:
        towards_11TD: in this direction each query's context lowers the loss, by 1 for a step of 1.
    """
    q_11TD = q_11TD.clone().requires_grad_()
    scores_11TS = core.scores(q_11TD, k_11SD, q_11TD.shape[-1] ** -0.5)
    weights_11TS = core.normalise(scores_11TS, None, {})
    loss = -(mix(weights_11TS, v_11SD) * towards_11TD / vector_norm(towards_11TD, dim=-1, keepdim=True)).sum()
    of_scores, of_queries = torch.autograd.grad(loss, (scores_11TS, q_11TD))
    entropy_11T = torch.special.entr(weights_11TS.detach()).sum(-1)
    return {
        ENTROPY: 100 * float(entropy_11T.mean()) / math.log(k_11SD.shape[2]),
        OF_SCORES: float(vector_norm(of_scores, dim=-1).median()),
        OF_QUERIES: float(vector_norm(of_queries, dim=-1).median()),
    }
