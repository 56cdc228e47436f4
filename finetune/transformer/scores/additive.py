"""A query and a key fit as far as a small network says so that sees both.

B batch, T queries, S keys, E width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from finetune.transformer.scores import Score


@dataclass(frozen=True, kw_only=True)
class Additive(Score):
    """v · tanh(W q + U k) (Bahdanau and others 2015, arXiv 1409.0473, appendix A.1.2).

    2 E² + E parameters; costs O(T · S · E) numbers of memory, where a dot product has O(T · S).
    """

    def build(self, width: int) -> nn.Module:
        return Perceptron(width)


class Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.together = nn.Linear(width, 1, bias=False)

    def forward(self, q_BTE: Tensor, k_BSE: Tensor) -> Tensor:
        mixed_BTSE = (self.query(q_BTE)[:, :, None] + self.key(k_BSE)[:, None]).tanh()
        return self.together(mixed_BTSE).squeeze(-1)
