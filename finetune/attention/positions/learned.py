"""Learned positions: a table with one row for each, added to the inputs.

T positions, E model width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finetune.attention.positions import Learned, Position
from finetune.errors import InputError


@dataclass(frozen=True, kw_only=True)
class LearnedPositions(Position):
    """One vector for each position (Gehring and others 2017, arXiv 1705.03122, section 3.1), as BERT and GPT-2 have.

    Costs O(T · E), and `length` · E parameters. The table begins as zeros: a pretrained model starts unchanged.
    """

    length: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length < 1:
            raise InputError(f"{self.where}.length must be at least 1, got {self.length}")

    def learned(self, width: int, heads: int) -> dict[str, Tensor]:
        return {"positions": torch.zeros(self.length, width)}

    def encode(self, length: int, width: int, offset: int, learned: Learned, device: torch.device) -> Tensor:
        if offset + length > self.length:
            raise InputError(f"{self.where}.length is {self.length}, too few for {offset + length} positions")
        return learned["positions"][offset : offset + length]
