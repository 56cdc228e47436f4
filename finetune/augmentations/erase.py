"""An image without a rectangle of it (Zhong and others 2017, arXiv 1708.04896).

C channels, H and W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from finetune.augmentations import Augmentation, Tokens
from finetune.errors import InputError

TRIES = 100  # at a rectangle that fits: in an image that is much wider than high few do


@dataclass(frozen=True, kw_only=True)
class Erase(Augmentation):
    """Random erasing: a rectangle of an area and a proportion that are drawn until it fits, anywhere in the image.

    What is erased becomes 0: the mean that the processor subtracts, where it does.
    """

    reads: ClassVar[Literal["text", "image"]] = "image"

    probability: float = 0.5
    areas: tuple[float, float] = (0.02, 0.4)  # the least and the most, as shares of the image's
    flattest: float = 0.3  # height by width; the steepest is its inverse

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_probability(self.probability)
        least, most = self.areas
        if not 0 < least <= most <= 1:
            raise InputError(f"{self.where}.areas must be two shares in (0, 1], the least first, got {least}, {most}")
        if not 0 < self.flattest <= 1:
            raise InputError(f"{self.where}.flattest must be in (0, 1], got {self.flattest}")

    def drawn(self, example: Tensor, random: np.random.Generator, tokens: Tokens | None) -> Tensor:
        if random.random() >= self.probability:
            return example
        _, height, width = example.shape
        for _ in range(TRIES):
            area = random.uniform(*self.areas) * height * width
            proportion = random.uniform(self.flattest, 1 / self.flattest)
            tall, wide = round(math.sqrt(area * proportion)), round(math.sqrt(area / proportion))
            if tall <= height and wide <= width:
                top, left = int(random.integers(height - tall + 1)), int(random.integers(width - wide + 1))
                erased = example.clone()
                erased[:, top : top + tall, left : left + wide] = 0
                return erased
        return example
