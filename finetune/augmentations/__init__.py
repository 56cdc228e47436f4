"""How training examples are drawn anew in each epoch: part of a recipe, one alternative a file.

What is drawn is a function of the run's seed, the epoch and the example's id, and of nothing else: neither the number
of processes nor how a batch is cut, nor the update that a run goes on from, has a say in it.

T tokens of a text; C channels, H and W pixels of an image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from finetune.errors import InputError
from finetune.hashing import content_key
from finetune.parts import Part

DIGITS = 32  # of a hash in hexadecimal: as many as Philox' key of 128 bits has


def generator(seed: int, epoch: int, id_: str) -> np.random.Generator:
    """The random numbers of one example in one epoch.

    Philox is a generator of as many streams as it has keys, none of which has to be walked through to reach another
    (Salmon and others 2011, "Parallel random numbers: as easy as 1, 2, 3").
    """
    return np.random.Generator(np.random.Philox(key=int(content_key(seed, epoch, id_)[:DIGITS], 16)))


@dataclass(frozen=True, eq=False)
class Tokens:
    """What an augmentation of texts must know of their tokenizer."""

    special: Tensor  # ids of those that are not part of a text
    hidden: int  # what stands where a token is not told: the mask, and where there is none the unknown token

    @staticmethod
    def of(tokenizer: Any) -> Tokens:
        """
        Raises:
            InputError: no token says that there is one which is not told.
        """
        named = tokenizer.special_tokens_map
        # GPT's one special token is all of these, and marks where a text ends
        ends = {named.get(name) for name in ("pad_token", "bos_token", "eos_token")}
        found = [named[name] for name in ("mask_token", "unk_token") if named.get(name) and named[name] not in ends]
        if not found:
            raise InputError(
                "an augmentation of texts needs a tokenizer with a mask or an unknown token of its own, and this has "
                "neither; leave augmentation none"
            )
        return Tokens(torch.tensor(tokenizer.all_special_ids), tokenizer.convert_tokens_to_ids(found[0]))


class Augmentation(Part, ABC):
    """The contract. A subclass is a frozen dataclass, in a file of its own in this folder."""

    where: ClassVar[str] = "augmentation"
    reads: ClassVar[Literal["text", "image"]]  # what it changes

    @abstractmethod
    def drawn(self, example: Tensor, random: np.random.Generator, tokens: Tokens | None) -> Tensor:
        """An example of the same shape in place of this one, which stays as it is.

        Args:
            example: of an image (C, H, W), what the processor makes of it; of a text (T), token ids without padding.
            random: whatever is drawn comes from it.
            tokens: of texts; None for images.
        """

    def check_probability(self, probability: float) -> None:
        """
        Raises:
            InputError: it is none.
        """
        if not 0 <= probability <= 1:
            raise InputError(f"{self.where}.probability must be in [0, 1], got {probability}")
