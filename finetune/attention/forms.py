"""Which form of scaled dot-product attention is fastest where: the one place that decides.

On CPUs that multiply bfloat16 the plain form is the fastest until its scores no longer fit in memory that is at hand;
in float32 torch's own is hard to beat. Found by trying; the table that holds it to account is still to be made.
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
