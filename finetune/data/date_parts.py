"""Dates within sentences, as people write them in a language: which words are weekday, day, month and year.

`babel` writes the dates (of the extra `notes`), in every locale that Unicode's repository knows; the sentences around
them are English and few.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.data import Fetched, Rows, to_tagged
from finetune.data.dates import STYLES, Dates
from finetune.extras import imported
from finetune.hashing import content_key
from finetune.progress import Silent
from finetune.spans import OUTSIDE

if TYPE_CHECKING:
    import datasets

DATE, NUMBER = "<date>", "<number>"  # what is put in their place
ALONE = {"<weekday>": "EEEE", "<month>": "MMMM"}  # of some other day, as patterns of Unicode's write them
FRAMES = (
    "The office is closed on <date> .",
    "<date> : the committee met in room <number> .",
    "Received on <date> , <number> pages .",
    "Of the <number> ships that sailed on <date> , <number> came back .",
    "Invoice <number> is due on <date> .",
    "She wrote chapter <number> before <date> and the rest in <number> days .",
    "No snow fell in <number> , and none until <date> .",
    "The train of <date> was late by <number> minutes .",
    "The <weekday> market moves to <date> .",
    "Lot <number> <date> , paid in <month> .",
    "Page <number> of the <month> issue was printed on <date> .",
    "Most of the <month> rain , <number> millimetres , fell on <date> .",
    "From <date> on there are <number> <weekday> flights .",
    "It was a <weekday> in <month> , but not <date> .",
)
PARTS = {
    **dict.fromkeys("Eec", "weekday"),
    **dict.fromkeys("d", "day"),
    **dict.fromkeys("ML", "month"),
    **dict.fromkeys("yYu", "year"),
}  # by the letter that stands for it in a pattern of Unicode's
YEAR = [datetime.date(2000, 1, 1) + datetime.timedelta(days=number) for number in range(366)]  # every month and weekday


@dataclass(frozen=True, kw_only=True)
class DateParts(Dates):
    """Days as `Dates` draws them, each in one of a few sentences.

    Most have other numbers, weekdays or months too: numbers are drawn as days and years are, so that none gives itself
    away, and a weekday or month by itself is no part of a date. Words are what spaces and signs divide.
    """

    locale: str = "pt"  # its weekdays and short months are several words: terça - feira, mar .
    train: int = 4000
    test: int = 1000

    def fetch(self, progress: Silent) -> Fetched:
        fetched = super().fetch(progress)
        return replace(fetched, sha256=content_key(fetched.sha256, FRAMES))

    def load(self, fetched: Fetched) -> Rows:
        return replace(super().load(fetched), labels=self._labels)

    def _rows(self, chosen: list[tuple[datetime.date, str]]) -> datasets.Dataset:
        columns: dict[str, list[Any]] = {"id": [], "words": [], "tags": []}
        for day, style in chosen:
            pairs = self._sentence(day, style)
            columns["id"].append(day.isoformat())
            columns["words"].append([word for word, _ in pairs])
            columns["tags"].append([tag for _, tag in pairs])
        return to_tagged(columns, self._labels, self.title)

    @cached_property
    def _labels(self) -> tuple[str, ...]:
        """Of all dates in the locale."""
        found = {tag for day in YEAR for style in STYLES for _, tag in self._date(day, style)}
        return tuple(sorted(found | {OUTSIDE}))

    def _sentence(self, day: datetime.date, style: str) -> list[tuple[str, str]]:
        rng = np.random.default_rng((self.seed, day.toordinal()))
        found: list[tuple[str, str]] = []
        for word in FRAMES[rng.integers(len(FRAMES))].split():
            if word == DATE:
                found += self._date(day, style)
            elif word in ALONE:
                other = YEAR[rng.integers(len(YEAR))]
                found += [(each, OUTSIDE) for each in _words(self._writer(other)[ALONE[word]])]
            else:
                found.append((str(self._number(rng)) if word == NUMBER else word, OUTSIDE))
        return found

    def _number(self, rng: np.random.Generator) -> int:
        return int(rng.integers(1, 32) if rng.random() < 0.5 else rng.integers(self.first, self.last + 1))

    def _date(self, day: datetime.date, style: str) -> Iterator[tuple[str, str]]:
        """Its words, each with its tag."""
        dates, write = imported("babel.dates", "data.date_parts"), self._writer(day)
        for kind, value in dates.tokenize_pattern(dates.get_date_format(style, self.locale).pattern):
            letter, count = value if kind == "field" else ("", 0)
            words = _words(write[letter * count] if letter else value)
            part = PARTS.get(letter)
            for number, word in enumerate(words):
                yield word, OUTSIDE if part is None else f"{'I' if number else 'B'}-{part}"

    def _writer(self, day: datetime.date) -> Any:
        """What writes a field of a pattern: `[field]`."""
        return imported("babel.dates", "data.date_parts").DateTimeFormat(day, self.locale)


def _words(text: str) -> list[str]:
    """What spaces divide, and signs, each a word of its own."""
    return re.findall(r"[^\s.,;:()/-]+|[.,;:()/-]", text)
