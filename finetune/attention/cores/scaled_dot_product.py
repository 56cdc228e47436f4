"""Scaled dot-product attention as in the paper, in whichever of its forms is fastest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from finetune.attention.cores import Core


@dataclass(frozen=True, kw_only=True)
class ScaledDotProduct(Core):
    """What the checkpoint was trained with: with its projections, nothing changes but the code."""

    exact: ClassVar[bool] = True
