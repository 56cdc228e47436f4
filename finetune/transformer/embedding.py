"""What goes into the first block: a vector for each token, scaled, and where it stands.

B batch, T tokens, E width, V vocabulary.
"""

from __future__ import annotations

from torch import Tensor, nn

from finetune.attention.positions import Position
from finetune.attention.positions.learned import LearnedPositions
from finetune.errors import InputError


def stands_beside(position: Position | None) -> bool:
    """Whether it is told beside the inputs, once; else each attention is told, by turning or by a bias on scores."""
    return position is not None and type(position).encode is not Position.encode


class Place(nn.Module):
    """Adds positions to vectors; nothing, where they are told elsewhere."""

    def __init__(self, position: Position | None, width: int) -> None:
        super().__init__()
        self.position = position if stands_beside(position) else None
        self.learned = nn.ParameterDict({} if self.position is None else self.position.learned(width, 1))

    def draw(self) -> None:
        for table in self.learned.values():
            nn.init.normal_(table, std=table.shape[-1] ** -0.5)

    def forward(self, x_BTE: Tensor, seen: int = 0) -> Tensor:
        """
        Args:
            seen: tokens before the first of these.

        Raises:
            InputError: there are more tokens than learned positions.
        """
        if self.position is None:
            return x_BTE
        length = seen + x_BTE.shape[1]
        if isinstance(self.position, LearnedPositions) and length > self.position.length:
            raise InputError(
                f"checkpoint.system.positions.length is {self.position.length}, too few for a text of {length} tokens"
            )
        encoded_TE = self.position.encode(x_BTE.shape[1], x_BTE.shape[2], seen, dict(self.learned), x_BTE.device)
        assert encoded_TE is not None
        return x_BTE + encoded_TE.to(x_BTE.dtype)


class Embedding(nn.Module):
    """√E times a token's vector, and its place (Vaswani and others 2017, arXiv 1706.03762, sections 3.4 and 3.5).

    The vectors have a deviation of 1/√E. So a table can also be what logits are made with (weight tying): what enters
    the first block is of deviation 1, as waves are, and logits are not too large.
    """

    def __init__(self, vocabulary: int, width: int, position: Position | None, dropout: float) -> None:
        super().__init__()
        self.tokens, self.scale = nn.Embedding(vocabulary, width), width**0.5
        self.place, self.dropout = Place(position, width), nn.Dropout(dropout)

    def forward(self, ids_BT: Tensor, seen: int = 0) -> Tensor:
        return self.dropout(self.place(self.tokens(ids_BT) * self.scale, seen))
