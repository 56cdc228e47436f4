"""An image moved by whole pixels: up or down, and left or right.

C channels, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from finetune.augmentations import Augmentation, Tokens
from finetune.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Shift(Augmentation):
    """In each direction as far as is drawn evenly; what comes in at a side is that side's last pixel again."""

    reads: ClassVar[Literal["text", "image"]] = "image"

    pixels: int = 2  # of the image as the model sees it: the farthest that it moves, either way

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pixels < 0:
            raise InputError(f"{self.where}.pixels must be at least 0, got {self.pixels}")

    def drawn(self, example: Tensor, random: np.random.Generator, tokens: Tokens | None) -> Tensor:
        _, height, width = example.shape
        down, right = random.integers(-self.pixels, self.pixels, size=2, endpoint=True).tolist()
        padded = F.pad(example, (self.pixels,) * 4, mode="replicate")
        return padded.narrow(1, self.pixels - down, height).narrow(2, self.pixels - right, width)
