"""Rotary positions: turning pairs of a head's coordinates by an angle that grows with the position."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finetune.attention.positions import Position, at
from finetune.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Rotary(Position):
    """RoPE (Su and others 2021, arXiv 2104.09864, section 3.2.2), in the half-split layout of GPT-NeoX and Llama.

    Coordinates i and i + D/2 are a point in a plane, turned by position · base^(−2i/D). A score then depends on the
    distance between query and key alone. Costs O(T · D), no memory to speak of.
    """

    base: float = 10_000.0

    def rotate(self, x_BHTD: Tensor, offset: int) -> Tensor:
        length, width = x_BHTD.shape[2:]
        if width % 2:
            raise InputError(f"rotary positions turn pairs of coordinates: a head width of {width} is odd")
        steps_D = torch.arange(0, width, 2, device=x_BHTD.device, dtype=torch.float32) / width
        angles_TD = at(slice(0, length), offset, x_BHTD.device)[:, None] / self.base**steps_D
        angles_TD = torch.cat([angles_TD, angles_TD], dim=-1)
        return turn(x_BHTD, angles_TD.cos().to(x_BHTD.dtype), angles_TD.sin().to(x_BHTD.dtype))


def turn(x_BHTD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
    """Each pair (i, i + D/2) turned by its angle; coordinates beyond those of the angles stay as they are.

    The angles may have a batch in front: (B, 1, T, D).
    """
    turned = cos_TD.shape[-1]
    x, rest = x_BHTD[..., :turned], x_BHTD[..., turned:]
    first, second = x.chunk(2, dim=-1)
    x = x * cos_TD + torch.cat([-second, first], dim=-1) * sin_TD
    return torch.cat([x, rest], dim=-1) if rest.shape[-1] else x
