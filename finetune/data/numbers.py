"""Numbers spelled in one language, to be spelled in another: as many as one wants, and every one has one right answer.

`num2words` spells them (of the extra `notes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from finetune.data import Data, Fetched, Rows, to_pairs
from finetune.errors import InputError, one_of
from finetune.extras import imported
from finetune.hashing import content_key
from finetune.progress import Silent

DRAWN = 4096  # numbers drawn together
PATIENCE = 1000  # numbers that are looked at for each that is wanted, before it is said that there are too few
LEAST = 3  # digits of numbers that are drawn evenly over those
IN_ONE = ("ja", "ko", "th")  # languages that write long numbers without spaces: their length is in characters


@dataclass(frozen=True, kw_only=True)
class Numbers(Data):
    """Whole numbers from 0 to below `below`, none of them twice: a number that is tested is in no training row.

    A larger `train` adds rows to those of a smaller one. Beside `text` and `target` every row has the `length` of its
    source: words, or of Japanese, Korean and Thai characters without spaces. With `longest` training rows are those
    of short sources alone, and test rows stay what they are.

    Drawn evenly, nearly all numbers are long: nine in ten have as many digits as there are at most. With `even` each
    number of digits from three on is as frequent as any other, as far as there are so many: then rows of many lengths
    are tested. Those of one and two digits are left out, for a test would leave training none of the hundred.
    """

    source: str = "es"  # languages by their codes
    target: str = "en"
    below: int = 1_000_000
    train: int = 20_000  # rows; validation is cut from them
    test: int = 2_000
    longest: int | None = None  # the length of a source that is trained on; None: any
    seed: int = 0  # of the numbers
    even: bool = field(default=False, repr=False)  # every number of digits as often, instead of every number

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, rows in (("train", self.train), ("test", self.test)):
            if rows < 1:
                raise InputError(f"data.{name} must be at least 1, got {rows}")
        if self.train + self.test > self.below / 2:
            raise InputError(
                f"data.train and data.test are {self.train + self.test} different numbers together; they must be at "
                f"most half of data.below, which is {self.below}"
            )
        if self.even and self.below <= 10**LEAST:
            raise InputError(f"data.even needs data.below above {10**LEAST}, got {self.below}")
        if self.longest is not None and self.longest < 1:
            raise InputError(f"data.longest must be at least 1 or none, got {self.longest}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"data.seed must be in [0, 2**32), got {self.seed}")

    def fetch(self, progress: Silent) -> Fetched:
        for language in ("source", "target"):
            spelling(getattr(self, language), f"data.{language}")
        package = f"num2words=={version('num2words')}"
        said = ["even"] if self.even else []  # not in what a value prints: rows from before there was a choice stay
        return Fetched(path=Path(), sha256=content_key(self, package, *said), source={"package": package})

    def load(self, fetched: Fetched) -> Rows:
        numbers = drawn(self.below, self.seed, even=self.even)
        spell = spelling(self.source, "data.source")
        test = [(number, spell(number)) for number in islice(numbers, self.test)]
        train = list(islice(self._short(numbers, spell), self.train))
        return Rows(train=self._rows(train), test=self._rows(test), labels=())

    def _short(self, numbers: Iterator[int], spell: Callable[[int], str]) -> Iterator[tuple[int, str]]:
        """Numbers with their sources, where those are no longer than wanted."""
        found = 0
        for looked, number in enumerate(numbers, 1):
            if looked > PATIENCE * (found + 10) or looked + self.test > 0.9 * self.below:
                unit = "characters" if self.source in IN_ONE else "words"
                raise InputError(
                    f"data.longest leaves {found} of the first {looked} numbers, which have at most {self.longest} "
                    f"{unit} in {self.source!r}; with it data.train must be smaller than {self.train}, or it larger"
                )
            text = spell(number)
            if self.longest is None or self._length(text) <= self.longest:
                found += 1
                yield number, text

    def _rows(self, sources: list[tuple[int, str]]) -> Any:
        spell = spelling(self.target, "data.target")
        return to_pairs(
            {
                "id": [str(number) for number, _ in sources],
                "text": [text for _, text in sources],
                "target": [spell(number) for number, _ in sources],
                "length": [self._length(text) for _, text in sources],
            }
        )

    def _length(self, text: str) -> int:
        words = text.split()
        return sum(map(len, words)) if self.source in IN_ONE else len(words)


def spelling(language: str, field: str) -> Callable[[int], str]:
    """How numbers are spelled in a language.

    Args:
        field: what names the language, for people.

    Raises:
        InputError: nobody knows how to spell numbers in it; or later, a number has no word there.
    """
    num2words = imported("num2words", "data.numbers")
    if language not in num2words.CONVERTER_CLASSES:
        raise one_of(f"language of {field}", language, num2words.CONVERTER_CLASSES)
    to_cardinal = num2words.CONVERTER_CLASSES[language].to_cardinal

    def spell(number: int) -> str:
        try:
            return " ".join(to_cardinal(number).split())
        except (NotImplementedError, OverflowError, KeyError, IndexError) as error:
            raise InputError(f"{field} {language!r} has no word for {number}: make data.below smaller") from error

    return spell


def drawn(below: int, seed: int, *, even: bool) -> Iterator[int]:
    """Different numbers in random order; the first of them stay the first however many are asked for."""
    rng, seen = np.random.default_rng(seed), set[int]()
    while True:
        low, high = _by_digits(rng, below) if even else (0, below)
        for number in rng.integers(low, high, size=DRAWN).tolist():
            if number not in seen:
                seen.add(number)
                yield number


def _by_digits(rng: np.random.Generator, below: int) -> tuple[np.ndarray, np.ndarray]:
    """Between which ends each of `DRAWN` numbers is, those with as many digits as was drawn for it."""
    digits = rng.integers(LEAST, len(str(below - 1)) + 1, size=DRAWN)
    return 10 ** (digits - 1), np.minimum(10**digits, below)
