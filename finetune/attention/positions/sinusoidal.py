"""Sinusoidal positions: waves of many lengths, added to the inputs.

T positions, E model width, F frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finetune.attention.positions import Learned, Position, at


@dataclass(frozen=True, kw_only=True)
class Sinusoidal(Position):
    """Fixed waves (Vaswani and others 2017, arXiv 1706.03762, section 3.5):

        P(t, 2i) = sin(t / base^(2i/E)),   P(t, 2i + 1) = cos(t / base^(2i/E))

    Costs O(T · E). A pretrained model has positions already, and waves as large as its own inputs drown what it reads:
    without training it is much worse.
    """

    base: float = 10_000.0

    def encode(self, length: int, width: int, offset: int, learned: Learned, device: torch.device) -> Tensor:
        steps_F = torch.arange(0, width, 2, device=device, dtype=torch.float32) / width
        angles_TF = at(slice(0, length), offset, device)[:, None] / self.base**steps_F
        # an odd width has a last sine without its cosine
        return torch.stack([angles_TF.sin(), angles_TF.cos()], dim=-1).flatten(1)[:, :width]
