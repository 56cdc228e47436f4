"""Which rows train, which choose, which test: seeded, stratified, nested, and the same for every method and seed.

A row's place is decided by a hash of its id among those of its class, so it does not move when the file is reordered or
another cap is chosen: the rows of a small cap are among those of every larger one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from finetune.data import PORTION, Rows, answer, classes, quiet, targets
from finetune.errors import InputError
from finetune.parts import Part

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """What there is to know of splits without their rows."""

    labels: tuple[str, ...]
    test_rows_in_train: int  # test inputs whose text also occurs in train: they flatter every method alike
    values: tuple[float, float] | None = None  # mean and deviation of those of the training rows; None: they have none
    # of validation and test rows a number each, which those of one group share, as reviews of one film; empty: each row
    # is alone
    groups: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Splits(SplitFacts):
    """Disjoint rows. `test` chooses nothing."""

    train: datasets.Dataset
    validation: datasets.Dataset
    test: datasets.Dataset

    @property
    def facts(self) -> SplitFacts:
        return SplitFacts(**{each.name: getattr(self, each.name) for each in fields(SplitFacts)})

    def __getitem__(self, name: str) -> datasets.Dataset:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


@dataclass(frozen=True, kw_only=True)
class Split(Part):
    """How the rows of a data set are divided, and how many of them are used."""

    where: ClassVar[str] = "split"

    validation: float = 0.1  # share of the official train rows
    test: float = 0.2  # share of all rows, where the data has no test set of its own
    train_rows: int | None = None  # cap on the rows trained on; None: all
    per_class: int | None = None  # the same of each class: an equal number of labels of every kind
    test_rows: int | None = None  # cap on the rows tested on; None: all; 0: the test set stays closed
    draw: int = 0  # which of the rows that train a cap leaves; test rows stay what they are
    seed: int = 0  # which rows; apart from the run's seed, so that all runs share them

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, share in (("validation", self.validation), ("test", self.test)):
            if not 0 < share < 1:
                raise InputError(f"split.{name} is a share of the rows and must be in (0, 1), got {share}")
        for name, rows in (("train_rows", self.train_rows), ("per_class", self.per_class)):
            if rows is not None and rows < 1:
                raise InputError(f"split.{name} must be at least 1, got {rows}")
        if self.test_rows is not None and self.test_rows < 0:
            raise InputError(f"split.test_rows must be at least 1, or 0 for a closed test set, got {self.test_rows}")

        if self.draw and self.train_rows is None and self.per_class is None:
            raise InputError(f"split.draw is of a part of the rows: with all of them it must be 0, got {self.draw}")

    @property
    def closed(self) -> bool:
        """Whether nobody looks at the test set: so it is while something is still to be chosen."""
        return self.test_rows == 0

    def cut(self, rows: Rows) -> Splits:
        """
        Raises:
            InputError: a split would be empty, or classes are counted where there are none.
        """
        if self.per_class is not None and "label" not in rows.train.column_names:
            raise InputError(
                f"split.per_class is of labels, and these rows have none: leave it none, got {self.per_class}"
            )
        pool, test = rows.train, rows.test
        if test is None:
            pool, test = self._hold_out(pool, self.test, "test")
        train, validation = self._hold_out(pool, self.validation, "validation")
        every = len(train)
        if self.per_class is not None:
            train = self._of_each_class(train, self.per_class)
        if self.train_rows is not None and self.train_rows < len(train):
            train = self.first(train, self.train_rows, drawn=True)
        if len(train) < every:  # validation shrinks with train: a cap stands for a budget of labels
            share = self.validation / (1 - self.validation)
            validation = self.first(validation, max(1, round(share * len(train))), drawn=True)
        if self.test_rows is not None:
            test = self.first(test, self.test_rows)
        for name, part in (("train", train), ("validation", validation), ("test", test)):
            if len(part) == 0 and not (name == "test" and self.closed):
                raise InputError(
                    f"the {name} split is empty: {len(rows.train)} rows (or their groups) are too few to divide"
                )
        if rows.dealt is not None:  # after the cut, which goes by labels: test rows are those that they would be
            train, validation = _dealt(train, rows.dealt), _dealt(validation, rows.dealt)
        return Splits(
            train=train,
            validation=validation,
            test=test,
            labels=rows.labels,
            test_rows_in_train=int(repeated(train, test).sum()),
            values=_spread(train),
            groups={
                name: groups_N.tolist()
                for name, part in (("validation", validation), ("test", test))
                if (groups_N := grouped(part)) is not None
            },
        )

    def _hold_out(self, rows: datasets.Dataset, share: float, salt: str) -> tuple[datasets.Dataset, datasets.Dataset]:
        """Rows that stay, and about `share` of them held out (whole groups, where rows have a group)."""
        held = np.zeros(len(rows), dtype=bool)
        if "group" in rows.column_names:
            held = _whole_groups(rows["group"][:], share, f"{self.seed}:{salt}")
        else:
            held[_nested_order(rows, f"{self.seed}:{salt}")[: round(share * len(rows))]] = True
        return rows.select(np.flatnonzero(~held)), rows.select(np.flatnonzero(held))

    def first(self, rows: datasets.Dataset, count: int, *, drawn: bool = False) -> datasets.Dataset:
        """So many of the rows, or all; those of a smaller count are among them."""
        salt = self._drawn if drawn else f"{self.seed}:cap"
        return rows.select(np.sort(_nested_order(rows, salt)[:count]))

    @property
    def _drawn(self) -> str:
        return f"{self.seed}:cap{f':{self.draw}' if self.draw else ''}"

    def _of_each_class(self, rows: datasets.Dataset, count: int) -> datasets.Dataset:
        labels, order = classes(rows), _nested_order(rows, self._drawn)
        members = [order[labels[order] == label][:count] for label in np.unique(labels)]
        return rows.select(np.sort(np.concatenate(members)))


def _dealt(rows: datasets.Dataset, seed: int) -> datasets.Dataset:
    """Each row with the answer of another: as many of each as before."""
    name, rng = str(answer(rows)), np.random.default_rng(seed)
    if name == "tags":  # those of all words, whatever sentence they are of
        tags = rows["tags"][:]
        counts = np.array(list(map(len, tags)))
        dealt = [each.tolist() for each in np.split(rng.permutation(np.concatenate(tags)), counts.cumsum()[:-1])]
    else:
        dealt = rng.permutation(targets(rows))
    with quiet():  # rows that were chosen are copied
        return rows.remove_columns(name).add_column(name, dealt)  # pyright: ignore[reportCallIssue]


def _spread(rows: datasets.Dataset) -> tuple[float, float] | None:
    """Mean and deviation of the rows' values, if they have values."""
    if answer(rows) != "value":
        return None
    values_N = targets(rows)
    # of equal ones rounding would make a deviation
    return float(values_N.mean()), float(values_N.std()) if np.ptp(values_N) else 0.0


def grouped(rows: datasets.Dataset) -> np.ndarray | None:
    """A number for each row that those of one group share; None: rows have no group, or each its own."""
    if "group" not in rows.column_names:
        return None
    names, number_N = np.unique(np.asarray(rows["group"][:], dtype=str), return_inverse=True)
    return number_N if len(names) < len(rows) else None


def _nested_order(rows: datasets.Dataset, salt: str) -> np.ndarray:
    """An order whose every prefix has about the class shares of the whole."""
    keys = _hashes(salt, rows, ["id"])
    labels = classes(rows)
    place = np.empty(len(rows))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members[np.argsort(keys[members])]] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((keys, place))


def _whole_groups(groups: Sequence[str], share: float, salt: str) -> np.ndarray:
    names, member, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    taken, room = [], share * len(groups)
    for group in np.argsort(np.array([_hash(salt, name) for name in names], dtype=np.uint64)):
        if sizes[group] <= room:  # one group too large for the rest leaves it to smaller ones
            taken.append(group)
            room -= sizes[group]
    return np.isin(member, taken)


def _hash(salt: str, id_: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{salt}:{id_}".encode(), digest_size=8).digest(), "big")


def repeated(known: datasets.Dataset, rows: datasets.Dataset) -> np.ndarray:
    """Whether each row's texts are those of a known one; of images nobody knows, and none is."""
    columns = [name for name in ("text", "text_pair", "words") if name in known.column_names]
    if not columns:
        return np.zeros(len(rows), dtype=bool)
    return np.isin(_hashes("", rows, columns), np.unique(_hashes("", known, columns)))


def _joined(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else "\x1e".join(value)


def _hashes(salt: str, rows: datasets.Dataset, columns: Sequence[str]) -> np.ndarray:
    """A number for what each row has in some columns, a portion of the rows in memory at a time."""
    found = np.empty(len(rows), dtype=np.uint64)
    rows = rows.select_columns(list(columns))
    for start in range(0, len(rows), PORTION):
        portion = rows[start : start + PORTION]
        texts = zip(*(portion[name] for name in columns), strict=True)
        found[start : start + PORTION] = [_hash(salt, "\x1f".join(map(_joined, values))) for values in texts]
    return found
