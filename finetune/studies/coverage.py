"""What is a token: how much of texts that it never saw a tokenizer knows, and how long it makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from finetune.data import Data
from finetune.data.numbers import Numbers
from finetune.data.topics import Topics
from finetune.errors import InputError, one_of
from finetune.extras import imported
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
KINDS = ("territories", "languages", "currencies", "units")  # of what babel names


@dataclass(frozen=True, kw_only=True)
class Coverage(Study):
    """Spelled numbers, of which Korean writes a long one as one or two words, 삼십이만 천이백삼; names; English news.

    Numbers are spelled with few letters, in Korean with 13 syllables. Names of countries, languages, currencies and
    units, of the same ones in each language, have hundreds.
    """

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
        "of numbers spelled in each language that none of the training texts spells, of babel's names in each language "
        "for what none of the training texts names, and of the test texts of packaged news; the seed draws the "
        "numbers, which of the names, the same in each language, and which of the news",
        "covered are characters in known tokens; jamo are characters where a text is not Korean",
    )

    languages: tuple[str, ...] = ("ko", "es", "en")
    below: int = 1_000_000  # the numbers
    names: tuple[str, ...] = KINDS  # of what; empty: no names
    news: str | None = "reuters-r8"  # of finetune.data.topics
    training: tuple[int, ...] = (10, 100, 1000)  # texts
    held_out: int = 300  # texts
    size: int = 400  # of the vocabulary of byte_pair and word_piece, if texts have as many pieces and no more letters

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(1, "training", "held_out")
        if not self.languages:
            raise InputError(f"{self.where}.languages must name at least one, got none")
        for kind in self.names:
            if kind not in KINDS:
                raise one_of(f"kind of {self.where}.names", kind, KINDS)
        self.kinds()  # whose checks, like those of news, are their own
        if self.news is not None:
            Topics(self.news)

    def kinds(self) -> dict[str, Tokenizer]:
        found = (Words(), WordPiece(size=self.size), BytePair(size=self.size), Characters(), Jamo())
        return {type(each).__module__.rpartition(".")[2]: each for each in found}

    def measure(self, seed: int) -> Iterable[Point]:
        for panel, (train, test) in self.texts(seed):
            for name, kind in self.kinds().items():
                for rows in self.training:
                    yield Point(panel=panel, line=name, at=rows, values=_values(kind, train[:rows], test))

    def texts(self, seed: int) -> Iterator[tuple[str, tuple[list[str], list[str]]]]:
        """By what they are: as many to train on as the most, and those held out."""
        for language in self.languages:
            yield f"numbers {language}", self._numbers(language, seed)
            if self.names:
                yield f"names {language}", self._named(language, seed)
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

    def _named(self, language: str, seed: int) -> tuple[list[str], list[str]]:
        """Of a larger `training` the names of a smaller one, and the same held out."""
        names = self._names[language]
        if (wanted := max(self.training) + self.held_out) > len(names):
            raise InputError(
                f"{self.where}.training and {self.where}.held_out are {wanted} different names together, and "
                f"{' '.join(self.languages)} have {len(names)} of {' '.join(self.names)}; without names: --set names="
            )
        drawn = _some(names, wanted, np.random.default_rng(seed))
        return drawn[self.held_out :], drawn[: self.held_out]

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """By the language, of what every one has a name for, in one order; nothing twice in any of them."""
        found = {language: _called(language, self.names) for language in self.languages}
        first, *others = found.values()
        names = {language: dict[str, None]() for language in found}  # as sets that keep their order
        for key in (each for each in first if all(each in other for other in others)):
            if not any(each[key] in names[language] for language, each in found.items()):
                for language, each in found.items():
                    names[language][each[key]] = None
        return {language: list(each) for language, each in names.items()}


def _called(language: str, kinds: Sequence[str]) -> dict[tuple[str, str], str]:
    """What things are called in a language, by their kinds and Unicode's keys."""
    babel, data, units = (imported(name, "study.names") for name in ("babel", "babel.localedata", "babel.units"))
    if language not in (known := data.locale_identifiers()):
        raise one_of("locale of study.languages", language, known)
    locale, found = babel.Locale.parse(language), dict[tuple[str, str], str]()
    for kind in kinds:
        if kind == "units":
            named = {key: units.get_unit_name(key, locale=locale) for key in locale.unit_display_names}
        else:
            named = getattr(locale, kind)
        found |= {(kind, key): name for key, name in sorted(named.items()) if name}
    return found


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
