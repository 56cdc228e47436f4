"""Attention that attends to nothing in particular.

B batch, H heads of queries, K heads of keys, T queries, S keys, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from finetune.attention.cores import Core


@dataclass(frozen=True, kw_only=True)
class Uniform(Core):
    """The mean of all values a query may look at: softmax(0)V. The floor, below which attention is of no use.

    Costs O(T · S). Queries and keys play no part and get no gradient; a bias of the position, if there is one, still
    counts. A pretrained model loses what it knows of who belongs to whom, and without training should do little better
    than chance.
    """

    def scores(self, q_BHTD: Tensor, k_BKSD: Tensor, scale: float) -> Tensor:
        return q_BHTD.new_zeros(*q_BHTD.shape[:3], k_BKSD.shape[2])
