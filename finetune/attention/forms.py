"""Which form of scaled dot-product attention is fastest where: the one place that decides.

`plain` is the formula step by step. `kept` and `lean` work in blocks of queries, with the gradient written out, and
leave out keys that a mask hides from a whole block; the weights are kept for the way back, or computed again. `torch`
is torch's own. `make bench` measures them beside each other: outputs/tables/attention_speed.md.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from finetune.allocator import LARGEST
from finetune.attention.masks import Mask

Form = Literal["plain", "kept", "lean", "torch"]
SHORT, LONG = 128, 1024  # keys: between them leaving out what a causal mask hides pays
HELD = 128 * 2**20  # weights of a layer: from here on they are not kept, so that no layer needs more than 256 MB


def fastest(q_BHTD: Tensor, k_BKSD: Tensor, mask: Mask, dropout: float) -> Form:
    """The form for queries and keys of this shape, format and device."""
    if q_BHTD.device.type != "cpu":
        return "torch"  # its kernels are made for it
    queries, keys = q_BHTD.shape[2], k_BKSD.shape[2]
    learns = torch.is_grad_enabled() and (q_BHTD.requires_grad or k_BKSD.requires_grad)
    skips = keys > SHORT and mask.reach(slice(0, queries // 2), keys) != slice(0, keys)
    # in float32 its kernel is beaten only on the way back; of dropout it knows nothing
    if q_BHTD.dtype == torch.float32 and not dropout and not (learns and skips and keys <= LONG):
        return "torch"
    weights = q_BHTD.shape[:3].numel() * keys
    if weights >= HELD:
        return "lean"
    # in one piece, more than the allocator holds ready would be mapped anew at each step
    return "kept" if skips or weights * q_BHTD.element_size() > LARGEST else "plain"
