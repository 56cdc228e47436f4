"""Attention to the neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.masks import Mask, Window
from finetune.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SlidingWindow(ScaledDotProduct):
    """softmax(QKᵀ/√D)V over the keys with |t − s| < width (Beltagy and others 2020, arXiv 2004.05150, section 3.1).

    Here a window is a mask, so it still costs O(T · S) at most: it shows what a window loses, not what it saves. A
    pretrained model should keep what it does nearby; without training it loses whatever a distant token contributes,
    above all at a first token that stands for the whole text.
    """

    exact: ClassVar[bool] = False

    width: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 1:
            raise InputError(f"attention.core.width must be at least 1, got {self.width}")

    def restrict(self, mask: Mask, offset: int) -> Mask:
        return mask & Window(self.width, offset)
