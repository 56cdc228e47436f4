"""Attention whose keys do not compete.

B batch, H heads, T queries, S keys.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from finetune.attention.cores import Core
from finetune.attention.positions import Learned


@dataclass(frozen=True, kw_only=True)
class Sigmoid(Core):
    """sigmoid(x_s + b) in place of the softmax, b = −log n (Ramapuram and others 2024, arXiv 2409.04431, section 3).

    n is how many keys the query may look at, where the paper takes the length of the sequence: padding then changes
    nothing, and with equal scores near 0 the weights sum to about 1, as those of a softmax do. Costs O(T · S). In a
    pretrained model they no longer sum to 1, so that without training contexts have wrong lengths.
    """

    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        keys = scores_BHTS.shape[-1]
        if allowed is None:
            return (scores_BHTS - math.log(keys)).sigmoid()
        count_BHT1 = allowed.expand(*allowed.shape[:-1], keys).sum(-1, keepdim=True)
        bias_BHT1 = count_BHT1.clamp(min=1).float().log().to(scores_BHTS.dtype)
        return (scores_BHTS - bias_BHT1).sigmoid().masked_fill(~allowed, 0.0)
