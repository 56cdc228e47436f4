"""Your own rows: a CSV, JSON or Parquet file, or a folder of images with a sub-folder for each class."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from datasets.exceptions import DatasetGenerationError
from PIL import Image

from finetune.cache import cache_dir
from finetune.data import PORTION, Data, Fetched, Rows, class_names, to_rows, without_bars
from finetune.errors import InputError, missing, one_of
from finetune.hashing import content_key, file_sha256
from finetune.progress import Silent

READERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
ROWS = 1  # counts up when the same file comes to other rows
TAB = "tab"  # what one writes for the separator that cannot be seen
SEPARATORS = (";", "\t", "|", ",")
IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True, kw_only=True)
class Files(Data):
    """Rows of files. Without `test`, a test set is cut from `train`.

    A row's id is its `id` column, or a hash of its content: it survives sorting the file and adding rows to it.
    An image's id is its path in the folder.
    """

    train: str
    test: str | None = None
    text: str = "text"  # name of the column; so are the next four
    text_pair: str | None = None  # the second text, where pairs are classified
    label: str = "label"
    id: str | None = None
    group: str | None = None  # rows of one group stay on one side of every split
    separator: str | None = None  # between the columns of a CSV: one character, or "tab"; None: tab in .tsv, else comma

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.separator not in (None, TAB) and not re.fullmatch(r"[\t -!#-~]", self.separator):
            raise InputError(f"data.separator must be a single character, or {TAB!r}, got {self.separator!r}")

    def fetch(self, progress: Silent) -> Fetched:
        parts = [Path(part).expanduser() for part in (self.train, self.test) if part is not None]
        for path in parts:
            if not path.exists():
                raise missing("data file", path)
            if self.separator is not None and READERS.get(path.suffix.lower()) != "csv":
                raise InputError(f"data.separator is of CSV files and has no meaning for {path.name}; leave it none")
        if len({path.is_dir() for path in parts}) > 1:
            raise InputError("data.train and data.test must both be files of rows, or both be folders of images")
        sums = [_folder_sum(path) if path.is_dir() else file_sha256(path) for path in parts]
        columns: tuple[str | None, ...] = (self.text, self.text_pair, self.label, self.id, self.group)
        if self.separator is not None:
            columns = (*columns, self.separator)
        files: dict[str, str] = dict(zip(("train", "test"), map(str, parts), strict=False))
        return Fetched(path=parts[0], sha256=content_key(*sums, columns), source=files)

    @property
    def title(self) -> str:
        return Path(self.train).name

    def load(self, fetched: Fetched) -> Rows:
        paths = {part: Path(path) for part, path in fetched.source.items()}
        if paths["train"].is_dir():
            return self._folders(paths)
        tables = {part: _Table(path, self.separator, self._columns) for part, path in paths.items()}
        labels = class_names(tables["train"].labels, str(paths["train"]))
        if "test" in tables:
            tables["test"].check_known(labels)
        rows = {part: table.rows(labels) for part, table in tables.items()}
        return Rows(train=rows["train"], test=rows.get("test"), labels=labels)

    @property
    def _columns(self) -> dict[str, str]:
        """Our name of a column → the file's."""
        wanted = {name: getattr(self, name) for name in ("text", "text_pair", "label", "id", "group")}
        return {name: column for name, column in wanted.items() if column is not None}

    def _folders(self, paths: Mapping[str, Path]) -> Rows:
        read = {part: self._images(path) for part, path in paths.items()}
        labels = class_names(read["train"]["label"], str(paths["train"]))
        for place, label in zip(*(read.get("test", {}).get(name, ()) for name in ("id", "label")), strict=True):
            if label not in labels:
                raise _unknown(paths["test"], place, label, labels)
        rows = {part: to_rows(columns, labels).cast_column("image", datasets.Image()) for part, columns in read.items()}
        return Rows(train=rows["train"], test=rows.get("test"), labels=labels)

    def _images(self, folder: Path) -> dict[str, Sequence[Any]]:
        paths = _image_paths(folder)
        _check_readable(paths, cache_dir() / "checked" / _folder_sum(folder))
        return {
            "id": [path.relative_to(folder).as_posix() for path in paths],
            "image": [str(path) for path in paths],
            "label": [path.relative_to(folder).parts[0] for path in paths],
        }


class _Table:
    """A file of rows, looked through once: never more of it is in memory than a portion, and a number for each row.

    Raises:
        InputError: a column is missing, or holds nothing where something must be.
    """

    def __init__(self, path: Path, separator: str | None, columns: Mapping[str, str]) -> None:
        self.path, self.separator, self.columns = path, separator, columns
        table = _read(path, separator)
        for name, column in columns.items():
            if column not in table.column_names:
                raise InputError(
                    f"{path} has no column for data.{name}: {one_of('column', column, table.column_names)}"
                )
        self.table = table.select_columns(list(dict.fromkeys(columns.values())))
        self.labels: set[str] = set()
        self.hashes = np.empty(len(table), dtype=np.uint64)
        empty: dict[str, list[int]] = {name: [] for name in columns}
        for start in range(0, len(table), PORTION):
            values = self._texts(self.table[start : start + PORTION])
            for name, texts in values.items():
                empty[name] += [start + row for row, text in enumerate(texts) if not text]
            self.labels.update(values["label"])
            hashed = [values["id"]] if "id" in values else [values["text"], _pairs(values), values["label"]]
            keys = [int(content_key(*each)[:16], 16) for each in zip(*hashed, strict=True)]
            self.hashes[start : start + PORTION] = keys
        self._check_empty(empty)
        self.repeats = _repeats(self.hashes)
        if "id" in columns and self.repeats.any():
            twice = str(self.table[int(self.repeats.argmax())][columns["id"]])
            raise InputError(f"{path}: column {columns['id']!r} must be unique, {twice!r} occurs more than once")

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
                    raise _unknown(self.path, _place(self.path, row, self.separator), label, labels)

    def rows(self, labels: tuple[str, ...]) -> datasets.Dataset:
        """Rows on disk, with the columns of every data set."""
        index = {label: number for number, label in enumerate(labels)}

        def ours(portion: dict[str, list[Any]], numbers: list[int]) -> dict[str, list[Any]]:
            values = self._texts(portion)
            ids = values.get("id") or [self._id(number) for number in numbers]
            return {**values, "id": ids, "label": [index[label] for label in values["label"]]}

        kinds = {name: datasets.Value("string") for name in (*self.columns, "id")} | {"label": datasets.Value("int64")}
        with without_bars():
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


def _pairs(values: Mapping[str, list[str]]) -> list[str]:
    return [pair or text for pair, text in zip(values.get("text_pair", values["text"]), values["text"], strict=True)]


def _repeats(hashes: np.ndarray) -> np.ndarray:
    """How many rows before each one are equal to it."""
    order = np.argsort(hashes, kind="stable")
    first = np.r_[True, hashes[order][1:] != hashes[order][:-1]]
    place = np.arange(len(hashes))
    repeats = np.empty(len(hashes), dtype=np.int64)
    repeats[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return repeats


def _unknown(path: Path, place: str, label: str, labels: Sequence[str]) -> InputError:
    return InputError(f"{path}: {place} has a label that no training row has: {one_of('label', label, labels)}")


def _read(path: Path, separator: str | None) -> datasets.Dataset:
    if path.suffix.lower() not in READERS:
        raise one_of("kind of data file", path.suffix or path.name, READERS)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty")
    reader = READERS[path.suffix.lower()]
    options = _as_text(path, _separator(path, separator)) if reader == "csv" else {}
    cache = cache_dir() / "tables" / file_sha256(path)  # by content: the reader's own cache goes by time and size
    try:
        with without_bars():
            table = datasets.load_dataset(reader, data_files=str(path), split="train", cache_dir=str(cache), **options)
    except (DatasetGenerationError, ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read as {reader}: {_root(error)}") from error
    assert isinstance(table, datasets.Dataset)
    if len(table) == 0:
        raise InputError(f"{path} holds no rows")
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


def _root(error: BaseException) -> str:
    """The innermost reason, on one line: the reader's first ones only say that it failed."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # pyright: ignore[reportAssignmentType]
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8; save the file as UTF-8"
    if "corresponds to no data" in str(error):
        return "it holds no rows"
    return " ".join(str(error).split())[:200]


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


def _image_paths(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.glob("*/**/*") if path.suffix.lower() in IMAGES)
    if not paths:
        raise InputError(f"{folder} holds no images in sub-folders; expected {folder}/<class>/<image>.png")
    return paths


def _check_readable(paths: Sequence[Path], checked: Path) -> None:
    """Decode every image once, before training starts: a truncated file shows nowhere else."""
    if checked.exists():
        return
    for path in paths:
        with decoding(str(path)), Image.open(path) as image:
            image.load()
    checked.parent.mkdir(parents=True, exist_ok=True)
    checked.touch()


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turns what is wrong with an image into one line that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (OSError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name} is not a readable image: {' '.join(str(error).split())}") from error


def _folder_sum(folder: Path) -> str:
    paths = _image_paths(folder)
    return content_key(*(f"{path.relative_to(folder).as_posix()}:{file_sha256(path)}" for path in paths))
