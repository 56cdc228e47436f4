"""Dot-product attention without its scale.

B batch, H heads of queries, K heads of keys, T queries, S keys, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from finetune.attention.cores import Core, products


@dataclass(frozen=True, kw_only=True)
class Unscaled(Core):
    """softmax(QKᵀ)V: what the √D of Vaswani and others 2017 (arXiv 1706.03762, section 3.2.1) is there to prevent.

    Costs O(T · S). A pretrained model's scores grow √D-fold, so that without training each query hears little but its
    best key, and the gradients of the others vanish.
    """

    def scores(self, q_BHTD: Tensor, k_BKSD: Tensor, scale: float) -> Tensor:
        return products(q_BHTD, k_BKSD)
