"""An image as a mirror shows it: left is right. Not for what is read, as digits are.

C channels, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from finetune.augmentations import Augmentation, Tokens


@dataclass(frozen=True, kw_only=True)
class Flip(Augmentation):
    """Mirrored with a probability (Krizhevsky and others 2012, section 4.1), else as it is."""

    reads: ClassVar[Literal["text", "image"]] = "image"

    probability: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_probability(self.probability)

    def drawn(self, example: Tensor, random: np.random.Generator, tokens: Tokens | None) -> Tensor:
        return example.flip(-1) if random.random() < self.probability else example
