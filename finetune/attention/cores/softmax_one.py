"""Attention that may also attend to nothing.

B batch, H heads, T queries, S keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from finetune.attention.cores import Core
from finetune.attention.positions import Learned


@dataclass(frozen=True, kw_only=True)
class SoftmaxOne(Core):
    """exp(x_s) / (1 + Σ_j exp(x_j)) in place of the softmax (Miller 2023, "Attention is off by one").

    A head with nothing to say need not say anything. Costs O(T · S). In a pretrained model every context shrinks by
    Σ/(1 + Σ): without training hardly where scores are high or keys are many, and much where they are low or few.
    """

    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        if allowed is not None:
            scores_BHTS = scores_BHTS.masked_fill(~allowed, torch.finfo(scores_BHTS.dtype).min)
        # the one is exp(0): a further key with a score of 0 and no value, which also keeps the softmax stable
        return F.pad(scores_BHTS, (1, 0)).softmax(-1)[..., 1:]
