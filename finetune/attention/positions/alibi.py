"""Attention with linear biases: the farther a key, the lower its score.

H heads, T queries, S keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finetune.attention.positions import Learned, Position


@dataclass(frozen=True, kw_only=True)
class Alibi(Position):
    """ALiBi (Press and others 2021, arXiv 2108.12409, section 3): −slope_h · |t − s|.

    The slopes fall from head to head, by a constant factor, to 1/256. The paper is about decoders; both sides alike,
    it serves encoders too. Costs O(T · S), and learns nothing.
    """

    def bias(self, rows_T: Tensor, columns_S: Tensor, heads: int, learned: Learned) -> Tensor:
        away_TS = (columns_S - rows_T[:, None]).abs()
        return -slopes(heads, away_TS.device)[:, None, None] * away_TS


def slopes(heads: int, device: torch.device) -> Tensor:
    """2^(−8/H), 2^(−16/H), …, 2^(−8): (H).

    Where H is no power of two: those of the next lower one, then every other one of the next higher one's, as in the
    authors' code.
    """
    lower = 1 << (heads.bit_length() - 1)
    steps_H = torch.arange(1, lower + 1, device=device, dtype=torch.float32) / lower
    between_H = (torch.arange(heads - lower, device=device, dtype=torch.float32) + 0.5) / lower
    return 2.0 ** (-8 * torch.cat([steps_H, between_H]))
