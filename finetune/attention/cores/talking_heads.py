"""Attention whose heads hear one another, before the softmax and after it.

B batch, H and G heads, T queries, S keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finetune.attention.cores import Core, softmax
from finetune.attention.positions import Learned


@dataclass(frozen=True, kw_only=True)
class TalkingHeads(Core):
    """softmax(scores · before) · after, each an H × H matrix over heads (Shazeer and others 2020, arXiv 2003.02436).

    Costs O(H · T · S) more per head, and 2H² parameters. Both matrices begin as the identity: a pretrained model
    starts unchanged. Every score is mixed with those of the same query and key alone, and masked after that.
    """

    def learned(self, width: int, heads: int, head_width: int) -> dict[str, Tensor]:
        own = {"before": torch.eye(heads), "after": torch.eye(heads)}
        return super().learned(width, heads, head_width) | own

    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        weights_BGTS = softmax(_talk(scores_BHTS, learned["before"]), allowed)
        mixed_BHTS = _talk(weights_BGTS, learned["after"])
        if allowed is None or allowed.shape[1] == 1:
            return mixed_BHTS
        # where heads have masks of their own, one hands another weights for keys that this one may not use
        return mixed_BHTS.masked_fill(~allowed, 0.0)


def _talk(x_BHTS: Tensor, between_HG: Tensor) -> Tensor:
    return torch.einsum("bhts,hg->bgts", x_BHTS, between_HG.to(x_BHTS.dtype))
