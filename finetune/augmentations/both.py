"""One augmentation after another: what the first has drawn is drawn anew by the second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from finetune.augmentations import Augmentation, Tokens
from finetune.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Both(Augmentation):
    """Of three or more, one of the two is both of the others."""

    first: Augmentation
    second: Augmentation

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first.reads != self.second.reads:
            raise InputError(
                f"{self.where}.second must change {self.first.reads}s, as {self.where}.first does, got "
                f"{type(self.second).__name__}, which changes {self.second.reads}s"
            )
        object.__setattr__(self, "reads", self.first.reads)

    def drawn(self, example: Tensor, random: np.random.Generator, tokens: Tokens | None) -> Tensor:
        return self.second.drawn(self.first.drawn(example, random, tokens), random, tokens)
