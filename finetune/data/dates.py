"""Dates as people write them in a language, to be written as ISO 8601 does: 5. März 2024 is 2024-03-05.

`babel` writes them (of the extra `notes`), in every locale that Unicode's repository knows.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from finetune.data import Data, Fetched, Rows, to_pairs
from finetune.errors import InputError, one_of
from finetune.extras import imported
from finetune.hashing import content_key
from finetune.progress import Silent

if TYPE_CHECKING:
    import datasets

STYLES = ("medium", "long", "full")  # a short one leaves the century out: nobody could tell which it was


@dataclass(frozen=True, kw_only=True)
class Dates(Data):
    """Days of a span of years, none of them twice, each in one of three styles: a day that is tested is not in train.

    A larger `train` adds rows to those of a smaller one.
    """

    locale: str = "es"
    first: int = 1900  # year; so is the next
    last: int = 2099
    train: int = 20_000  # rows; validation is cut from them
    test: int = 2_000
    seed: int = 0  # of the days and their styles

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1000 <= self.first <= self.last <= 9999:
            raise InputError(f"data.first and data.last must be years from 1000 to 9999, got {self.first}, {self.last}")
        for name, rows in (("train", self.train), ("test", self.test)):
            if rows < 1:
                raise InputError(f"data.{name} must be at least 1, got {rows}")
        if self.train + self.test > len(self._days):
            raise InputError(
                f"data.train and data.test are {self.train + self.test} different days together; from {self.first} to "
                f"{self.last} there are {len(self._days)}"
            )
        if not 0 <= self.seed < 2**32:
            raise InputError(f"data.seed must be in [0, 2**32), got {self.seed}")

    @property
    def _days(self) -> range:
        """Of the years, as Python counts days."""
        ends = datetime.date(self.first, 1, 1), datetime.date(self.last, 12, 31)
        return range(ends[0].toordinal(), ends[1].toordinal() + 1)

    def fetch(self, progress: Silent) -> Fetched:
        known = imported("babel.localedata", "data.dates").locale_identifiers()
        if self.locale not in known:
            raise one_of("locale of data.locale", self.locale, known)
        package = f"babel=={version('babel')}"
        return Fetched(path=Path(), sha256=content_key(self, package), source={"package": package})

    def load(self, fetched: Fetched) -> Rows:
        rng, days = np.random.default_rng(self.seed), self._days
        order, styles = rng.permutation(len(days)), rng.integers(len(STYLES), size=len(days))
        chosen = [(datetime.date.fromordinal(days[each]), STYLES[styles[each]]) for each in order]
        ends = self.test, self.test + self.train
        return Rows(train=self._rows(chosen[slice(*ends)]), test=self._rows(chosen[: self.test]), labels=())

    def _rows(self, chosen: list[tuple[datetime.date, str]]) -> datasets.Dataset:
        write = imported("babel.dates", "data.dates").format_date
        targets = [day.isoformat() for day, _ in chosen]
        texts = [write(day, style, locale=self.locale) for day, style in chosen]
        return to_pairs({"id": targets, "text": texts, "target": targets})
