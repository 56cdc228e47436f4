"""Where things stand, told to an attention that by itself sees a set: a part of a core, one alternative a file.

B batch, H heads, T queries, S keys, D head width, E model width.

Each tells it in one of three places — beside the inputs, by turning queries and keys, or as a bias on their scores —
and leaves the others as they are. Query t stands at position `t + offset`: behind a cache of keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from finetune.parts import Part

Learned = Mapping[str, Tensor]


class Position(Part):
    """A frozen value. What it learns lives in the module around it and is handed in as `learned`."""

    where: ClassVar[str] = "attention.core.position"

    def learned(self, width: int, heads: int) -> dict[str, Tensor]:
        """First values of what it learns, by name."""
        return {}

    def encode(self, length: int, width: int, offset: int, learned: Learned, device: torch.device) -> Tensor | None:
        """What is added to the inputs of queries and keys, made on their device: (length, width)."""
        return None

    def rotate(self, x_BHTD: Tensor, offset: int) -> Tensor:
        """Queries or keys, turned by where they stand."""
        return x_BHTD

    def bias(self, rows_T: Tensor, columns_S: Tensor, heads: int, learned: Learned) -> Tensor | None:
        """What is added to the scores of queries and keys at these positions: (heads, T, S)."""
        return None


def at(rows: slice, offset: int, device: torch.device) -> Tensor:
    """The positions of a block of queries or keys."""
    return torch.arange(rows.start + offset, rows.stop + offset, device=device)
