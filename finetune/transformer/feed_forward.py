"""The position-wise feed-forward network (Vaswani and others 2017, arXiv 1706.03762, equation 2).

    FFN(x) = max(0, x W_1 + b_1) W_2 + b_2

B batch, T tokens, E width.
"""

from __future__ import annotations

from torch import Tensor, nn


class FeedForward(nn.Module):
    """The same for each token, which sees no other: here is where a block computes, and most of its weights are.

    Args:
        inner: how wide it is between the two layers, 4 · E in the paper.
        dropout: share of the inner numbers dropped while training.
    """

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTE: Tensor) -> Tensor:
        return self.outer(self.dropout(self.inner(x_BTE).relu()))
