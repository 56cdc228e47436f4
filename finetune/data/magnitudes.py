"""Numbers in words, and how large they are: forty-two thousand is 4.6 powers of ten.

`num2words` spells them (of the extra `notes`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from finetune.data import Data, Fetched, Rows, to_pairs
from finetune.data.numbers import LEAST, drawn, spelling
from finetune.errors import InputError
from finetune.hashing import content_key
from finetune.progress import Silent

if TYPE_CHECKING:
    import datasets

RULES = 1  # counts up when other rows come of the same fields


@dataclass(frozen=True, kw_only=True)
class Magnitudes(Data):
    """Whole numbers spelled in a language, each with its logarithm to base ten as `value`, and none of them twice.

    Each number of digits from three on is drawn as often as any other, until there are no more of it: drawn evenly,
    nine in ten would have as many as there are at most. Test rows are some of all that were drawn, not the first: small
    numbers are few, and would be found there alone. So another `train` makes other test rows.
    """

    language: str = "en"  # by its code
    below: int = 1_000_000
    train: int = 20_000  # rows; validation is cut from them
    test: int = 2_000
    seed: int = 0  # of the numbers

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, rows in (("train", self.train), ("test", self.test)):
            if rows < 1:
                raise InputError(f"data.{name} must be at least 1, got {rows}")
        if self.below <= 10**LEAST:
            raise InputError(f"data.below must be above {10**LEAST}, got {self.below}")
        if self.train + self.test > self.below / 2:
            raise InputError(
                f"data.train and data.test are {self.train + self.test} different numbers together; they must be at "
                f"most half of data.below, which is {self.below}"
            )
        if not 0 <= self.seed < 2**32:
            raise InputError(f"data.seed must be in [0, 2**32), got {self.seed}")

    def fetch(self, progress: Silent) -> Fetched:
        spelling(self.language, "data.language")
        package = f"num2words=={version('num2words')}"
        return Fetched(path=Path(), sha256=content_key(self, package, RULES), source={"package": package})

    def load(self, fetched: Fetched) -> Rows:
        numbers = list(islice(drawn(self.below, self.seed, even=True), self.train + self.test))
        dealt = [numbers[each] for each in np.random.default_rng((self.seed, 1)).permutation(len(numbers))]
        return Rows(train=self._rows(dealt[self.test :]), test=self._rows(dealt[: self.test]), labels=())

    def _rows(self, numbers: Sequence[int]) -> datasets.Dataset:
        spell = spelling(self.language, "data.language")
        return to_pairs(
            {
                "id": [str(number) for number in numbers],
                "text": [spell(number) for number in numbers],
                "value": [math.log10(number) for number in numbers],
            }
        )
