"""A file of rows — CSV, JSON or Parquet — looked through once, and never more of it in memory than a portion."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from datasets.exceptions import DatasetGenerationError

from finetune.cache import cache_dir
from finetune.data import ANSWERS, PORTION, quiet
from finetune.errors import InputError, one_of
from finetune.hashing import content_key, file_sha256

READERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
ROWS = 1  # counts up when the same file comes to other rows
TAB = "tab"  # what one writes for the separator that cannot be seen
SEPARATORS = (";", "\t", "|", ",")


class Table:
    """The rows of a file; in memory are a portion of them, and a number for each.

    Raises:
        InputError: a column is missing, or holds nothing where something must be.
    """

    def __init__(self, path: Path, separator: str | None, columns: Mapping[str, str]) -> None:
        self.path, self.separator, self.columns = path, separator, columns
        self.answer = next(name for name in ANSWERS if name in columns)
        table = read(path, separator, columns)
        self.table = table.select_columns(list(dict.fromkeys(columns.values())))
        self.labels: set[str] = set()
        self.hashes = np.empty(len(table), dtype=np.uint64)
        try:
            self._look_through()
        except UnicodeDecodeError as error:  # of a JSON file the reader keeps bytes as they are
            raise _unreadable(path, error) from error
        self.repeats = _repeats(self.hashes)
        if "id" in columns and self.repeats.any():
            twice = str(self.table[int(self.repeats.argmax())][columns["id"]])
            raise InputError(f"{path}: column {columns['id']!r} must be unique, {twice!r} occurs more than once")

    def _look_through(self) -> None:
        empty: dict[str, list[int]] = {name: [] for name in self.columns}
        words: list[int] = []
        for start in range(0, len(self.table), PORTION):
            values = self._texts(self.table[start : start + PORTION])
            for name, texts in values.items():
                empty[name] += [start + row for row, text in enumerate(texts) if not text]
            said = values[self.answer]
            if self.answer == "label":
                self.labels.update(said)
            elif self.answer == "value":
                words += [start + row for row, text in enumerate(said) if text and not math.isfinite(_number(text))]
            hashed = [values["id"]] if "id" in values else [values["text"], _pairs(values), said]
            keys = [int(content_key(*each)[:16], 16) for each in zip(*hashed, strict=True)]
            self.hashes[start : start + PORTION] = keys
        self._check_empty(empty)
        self._check_numbers(words)

    def check_known(self, labels: tuple[str, ...]) -> None:
        """
        Raises:
            InputError: a row has none of the labels.
        """
        if self.labels <= set(labels):
            return
        for start in range(0, len(self.table), PORTION):
            for row, label in enumerate(self._texts(self.table[start : start + PORTION])["label"], start):
                if label not in labels:
                    raise unknown_label(self.path, _place(self.path, row, self.separator), label, labels)

    def rows(self, labels: tuple[str, ...]) -> datasets.Dataset:
        """Rows on disk, with the columns of every data set."""
        index = {label: number for number, label in enumerate(labels)}

        def ours(portion: dict[str, list[Any]], numbers: list[int]) -> dict[str, list[Any]]:
            values = self._texts(portion)
            ids = values.get("id") or [self._id(number) for number in numbers]
            return {**values, "id": ids, self.answer: [said(text) for text in values[self.answer]]}

        kind, said = {"label": ("int64", index.__getitem__), "value": ("float64", _number), "target": ("string", str)}[
            self.answer
        ]
        kinds = {name: datasets.Value("string") for name in (*self.columns, "id")} | {self.answer: datasets.Value(kind)}
        with quiet():
            return self.table.map(
                ours,
                batched=True,
                with_indices=True,
                remove_columns=self.table.column_names,
                features=datasets.Features(kinds),
                new_fingerprint=content_key(
                    ROWS, file_sha256(self.path), self.separator, *self.columns.items(), *labels
                ),
            )

    def _texts(self, portion: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
        """Every value as text, nothing where there is none."""
        return {
            name: ["" if value is None else str(value) for value in portion[column]]
            for name, column in self.columns.items()
        }

    def _id(self, row: int) -> str:
        """A hash of the row's content; the second and later of equal rows are numbered."""
        again = f"-{self.repeats[row]}" if self.repeats[row] else ""
        return f"{int(self.hashes[row]):016x}{again}"

    def _check_empty(self, empty: Mapping[str, list[int]]) -> None:
        for name, rows in empty.items():
            if not rows or (name in ("text", "text_pair") and len(rows) < len(self.table)):
                continue  # an empty text is one, a whole column of them is not
            shown = ", ".join(_place(self.path, row, self.separator) for row in rows[:5])
            more = " …" if len(rows) > 5 else ""
            raise InputError(f"{self.path}: column {self.columns[name]!r} is empty in {len(rows)} rows ({shown}{more})")

    def _check_numbers(self, wrong: list[int]) -> None:
        if wrong:
            column, place = self.columns[self.answer], _place(self.path, wrong[0], self.separator)
            raise InputError(
                f"{self.path}: column {column!r} must hold finite numbers, such as 3.5, and {place} has "
                f"{self.table[wrong[0]][column]!r}"
            )


def _pairs(values: Mapping[str, list[str]]) -> list[str]:
    return [pair or text for pair, text in zip(values.get("text_pair", values["text"]), values["text"], strict=True)]


def _number(text: str) -> float:
    """What a text says; of one that says none, NaN."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _repeats(hashes: np.ndarray) -> np.ndarray:
    """How many rows before each one are equal to it."""
    order = np.argsort(hashes, kind="stable")
    first = np.r_[True, hashes[order][1:] != hashes[order][:-1]]
    place = np.arange(len(hashes))
    repeats = np.empty(len(hashes), dtype=np.int64)
    repeats[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return repeats


def unknown_label(path: Path, place: str, label: str, labels: Sequence[str]) -> InputError:
    return InputError(f"{path}: {place} has a label that no training row has: {one_of('label', label, labels)}")


def read(path: Path, separator: str | None, columns: Mapping[str, str]) -> datasets.Dataset:
    """The file as it is.

    Raises:
        InputError: it cannot be read, or has no rows, or not the columns.
    """
    if path.suffix.lower() not in READERS:
        raise one_of("kind of data file", path.suffix or path.name, READERS)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty")
    reader = READERS[path.suffix.lower()]
    options = _as_text(path, _separator(path, separator)) if reader == "csv" else {}
    cache = cache_dir() / "tables" / file_sha256(path)  # by content: the reader's own cache goes by time and size
    try:
        with quiet():
            table = datasets.load_dataset(reader, data_files=str(path), split="train", cache_dir=str(cache), **options)
    except (DatasetGenerationError, ValueError, OSError) as error:
        raise _unreadable(path, error) from error
    assert isinstance(table, datasets.Dataset)
    if len(table) == 0:
        raise InputError(f"{path} holds no rows")
    for name, column in columns.items():
        if column not in table.column_names:
            raise InputError(f"{path} has no column for data.{name}: {one_of('column', column, table.column_names)}")
    return table


def _separator(path: Path, given: str | None) -> str:
    if given is None:
        return "\t" if path.suffix.lower() == ".tsv" else ","
    return "\t" if given == TAB else given


def _as_text(path: Path, separator: str) -> dict[str, Any]:
    """Options that read every column as text and guess nothing: "NA" is a word, 007 is no number.

    Raises:
        InputError: the header is one column, which cannot be enough, and another character would divide it.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        header = next(csv.reader(file, delimiter=separator), [])
    other = next((each for each in SEPARATORS if len(header) == 1 and each in header[0]), None)
    if other is not None:
        shown, right = (TAB if each == "\t" else each for each in (separator, other))
        raise InputError(f"{path} has a single column when divided at {shown!r}; set data.separator to {right!r}")
    features = datasets.Features({name: datasets.Value("string") for name in header})
    return {"sep": separator, "features": features, "keep_default_na": False}


def _unreadable(path: Path, error: BaseException) -> InputError:
    return InputError(f"{path} cannot be read as {READERS[path.suffix.lower()]}: {_root(error, path)}")


def _root(error: BaseException, path: Path) -> str:
    """The innermost reason, on one line: the reader's first ones only say that it failed."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # pyright: ignore[reportAssignmentType]
    if isinstance(error, UnicodeDecodeError):
        return f"{_undecoded(path)} is not UTF-8; save the file as UTF-8"
    if "corresponds to no data" in str(error):
        return "it holds no rows"
    return " ".join(str(error).split())[:200]


def _undecoded(path: Path) -> str:
    """The first place that is written in another encoding."""
    if READERS[path.suffix.lower()] == "parquet":  # which has no lines
        return "a text"
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"line {number} (byte 0x{line[error.start]:02x})"
    return "it"


def _place(path: Path, row: int, separator: str | None) -> str:
    """Where a row (from 0) is for who opens the file: the line it begins in, of a table whose lines one can see."""
    if READERS[path.suffix.lower()] != "csv":
        return f"row {row + 1}"
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader, begins = csv.reader(file, delimiter=_separator(path, separator)), []
        line = 1
        for fields in reader:
            if any(field.strip() for field in fields) or len(fields) > 1:  # as the reader of the table skips empty ones
                begins.append(line)
            line = reader.line_num + 1
    return f"line {begins[row + 1]}"
