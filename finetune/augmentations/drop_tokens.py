"""A text of which some tokens are not told: word dropout (Iyyer and others 2015, "Deep unordered composition").

T tokens of a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from finetune.augmentations import Augmentation, Tokens


@dataclass(frozen=True, kw_only=True)
class DropTokens(Augmentation):
    """Each token but the special ones is left out with a probability, and something stands in its place.

    Iyyer and others leave words out of a mean, which no order is lost by; in a text that is read in order the unknown
    token stands for what is dropped (Bowman and others 2016, arXiv 1511.06349, section 3.1), or the mask, where a
    checkpoint was pretrained to see one. Of sources with targets it is the sources.
    """

    reads: ClassVar[Literal["text", "image"]] = "text"

    probability: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_probability(self.probability)

    def drawn(self, example: Tensor, random: np.random.Generator, tokens: Tokens | None) -> Tensor:
        assert tokens is not None
        dropped_T = torch.from_numpy(random.random(len(example)) < self.probability)
        return example.masked_fill(dropped_T & ~torch.isin(example, tokens.special), tokens.hidden)
