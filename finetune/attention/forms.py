"""Which form of scaled dot-product attention is fastest where: one place, from measurements.

Two cores of an AMD EPYC with avx512_bf16, forward and backward, milliseconds (B × H × T × D; plain, lean, torch's own):

    bfloat16  32×12×128×32   20    38    78        float32   32×12×128×32   52    35    29
              16×6×257×64    26    43    62                  16×6×257×64    71    70    51
              8×6×512×64     43    81    85                  1×12×2048×32  537   274   173
              1×12×2048×32  200   194   158
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Form = Literal["plain", "lean", "torch"]
PLAIN = 48 * 2**20  # scores: from here on writing them all down costs more than computing them twice


def fastest(q_BHTD: Tensor, keys: int, dropout: float) -> Form:
    """The form for queries of this shape, format and device."""
    if q_BHTD.device.type != "cpu":
        return "torch"  # not measured here: its kernels are made for it
    if q_BHTD.dtype == torch.float32:
        return "plain" if dropout else "torch"  # torch's CPU kernel knows no dropout
    return "plain" if q_BHTD.shape[:3].numel() * keys < PLAIN else "lean"
