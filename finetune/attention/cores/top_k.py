"""Attention to the few best keys.

B batch, H heads, T queries, S keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finetune.attention.cores import Core, softmax
from finetune.attention.positions import Learned
from finetune.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TopK(Core):
    """The softmax over each query's k highest allowed scores alone (Gupta and others 2021, arXiv 2106.06899).

    Keys as high as the k-th stay as well, so that ties are not settled by chance. Costs O(T · S), and memory as much;
    the paper saves memory by going through the queries in chunks. A pretrained model gives most weight to few keys,
    so that without training it should change little, and the less the larger k.
    """

    k: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise InputError(f"attention.core.k must be at least 1, got {self.k}")

    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        if self.k >= scores_BHTS.shape[-1]:
            return softmax(scores_BHTS, allowed)
        known_BHTS = scores_BHTS.detach()
        if allowed is not None:
            known_BHTS = known_BHTS.masked_fill(~allowed, torch.finfo(scores_BHTS.dtype).min)
        best = known_BHTS >= known_BHTS.topk(self.k, dim=-1).values[..., -1:]
        return softmax(scores_BHTS, best if allowed is None else best & allowed)
