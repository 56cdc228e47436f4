"""A query and a key fit as far as they point the same way.

B batch, T queries, S keys, E width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from finetune.transformer.scores import Score


@dataclass(frozen=True, kw_only=True)
class Dot(Score):
    """q · k (Luong and others 2015, arXiv 1508.04025, equation 8). Learns nothing; costs O(T · S · E) products."""

    def build(self, width: int) -> nn.Module:
        return Product()


class Product(nn.Module):
    def forward(self, q_BTE: Tensor, k_BSE: Tensor) -> Tensor:
        return q_BTE @ k_BSE.mT
