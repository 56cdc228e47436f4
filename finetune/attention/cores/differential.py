"""The difference of two attentions.

B batch, H heads of queries, K heads of keys and values, T queries, S keys, D head width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from finetune.attention.cores import Core
from finetune.attention.masks import Mask
from finetune.attention.positions import Learned
from finetune.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Differential(Core):
    """(A₁ − λA₂)V, A_i = softmax(Q_iK_iᵀ/√(D/2)) (Ye and others 2024, arXiv 2410.05258, section 2.1).

    What both halves of a head look at is noise, and cancels out. λ is one number a head, learned from `initial`. Costs
    O(T · S), twice. Left out of the paper is what a pretrained head has no room for: the norm of each head and its
    factor 1 − λ_init, for the output projection expects contexts as they are; and λ as a difference of exponentials,
    which is there for training from scratch. Heads are halved, not doubled, so that projections keep their shapes.
    A pretrained head was not trained to be read in halves: without training much of what it knows is lost.
    """

    initial: float = 0.2

    def attend(
        self,
        q_BHTD: Tensor,
        k_BKSD: Tensor,
        v_BKSD: Tensor,
        mask: Mask,
        scale: float,
        dropout: float,
        learned: Learned,
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        if q_BHTD.shape[3] % 2:
            raise InputError(f"differential attention halves each head: a head width of {q_BHTD.shape[3]} is odd")
        (context, weights), (noise, noise_weights) = (
            super(Differential, self).attend(
                q,
                k,
                v_BKSD,
                mask,
                scale * math.sqrt(2),  # for half the width
                dropout,
                learned,
                need_weights,
            )
            for q, k in zip(_halves(q_BHTD), _halves(k_BKSD), strict=True)
        )
        share_H11 = learned["share"][:, None, None].to(context.dtype)
        if weights is None or noise_weights is None:
            return context - share_H11 * noise, None
        return context - share_H11 * noise, weights - share_H11 * noise_weights

    def learned(self, width: int, heads: int, head_width: int) -> dict[str, Tensor]:
        return super().learned(width, heads, head_width) | {"share": torch.full((heads,), self.initial)}


def _halves(x_BHTD: Tensor) -> tuple[Tensor, ...]:
    # every other coordinate: rotary positions turn i and i + D/2 together, and such a pair must not be torn apart
    return x_BHTD.unflatten(-1, (-1, 2)).unbind(-1)
