"""Your own rows: a CSV, JSON or Parquet file, or a folder of images with a sub-folder for each class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import datasets

from finetune.data import Data, Fetched, Rows, class_names, to_rows
from finetune.data.files import images, sentences
from finetune.data.files.tables import READERS, TAB, Table, unknown_label
from finetune.errors import InputError, missing
from finetune.hashing import content_key, file_sha256
from finetune.progress import Silent

SAID = ("value", "target", "words")  # fields of what may be said in place of labels


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
    group: str | None = None  # rows of one group stay on one side of every split, and intervals are over groups
    separator: str | None = None  # between the columns of a CSV: one character, or "tab"; None: tab in .tsv, else comma
    value: str | None = None  # name of a column of numbers: they are to be said, in place of labels
    target: str | None = None  # name of a column of texts: they are to be written, in place of labels
    words: str | None = (
        None  # name of a column of lists of words, in place of texts: each has a tag, and no row a label
    )
    tags: str = "tags"  # and of the column with as many tags

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.separator not in (None, TAB) and not re.fullmatch(r"[\t -!#-~]", self.separator):
            raise InputError(f"data.separator must be a single character, or {TAB!r}, got {self.separator!r}")
        self.check_one(SAID)

        if self.target is not None and self.text_pair is not None:
            raise InputError(
                f"data.text_pair is the second of two texts that are classified, and data.target {self.target!r} is to "
                f"be written of one; leave data.text_pair none, got {self.text_pair!r}"
            )

    def fetch(self, progress: Silent) -> Fetched:
        parts = [Path(part).expanduser() for part in (self.train, self.test) if part is not None]
        for path in parts:
            if not path.exists():
                raise missing("data file", path)
            if self.separator is not None and READERS.get(path.suffix.lower()) != "csv":
                raise InputError(f"data.separator is of CSV files and has no meaning for {path.name}; leave it none")
        if len({path.is_dir() for path in parts}) > 1:
            raise InputError("data.train and data.test must both be files of rows, or both be folders of images")
        for name in SAID:
            if getattr(self, name) is not None and parts[0].is_dir():
                raise InputError(
                    f"data.{name} is of files of rows and has no meaning for the folder {parts[0].name}; leave it none"
                )
        sums = [images.folder_sha256(path) if path.is_dir() else file_sha256(path) for path in parts]
        columns: tuple[str | None, ...] = (self.text, self.text_pair, self.label, self.id, self.group)
        if self.separator is not None:
            columns = (*columns, self.separator)
        for name in ("value", "target"):
            if getattr(self, name) is not None:
                columns = (*columns, name, getattr(self, name))
        if self.words is not None:
            columns = (*columns, "words", self.words, self.tags)
        files: dict[str, str] = dict(zip(("train", "test"), map(str, parts), strict=False))
        return Fetched(path=parts[0], sha256=content_key(*sums, columns), source=files)

    @property
    def title(self) -> str:
        return Path(self.train).name

    def load(self, fetched: Fetched) -> Rows:
        paths = {part: Path(path) for part, path in fetched.source.items()}
        if self.words is not None:
            own = {"words": self.words, "tags": self.tags, "id": self.id, "group": self.group}
            return sentences.rows(paths, {name: column for name, column in own.items() if column is not None})
        if paths["train"].is_dir():
            return _of_folders(paths)
        tables = {part: Table(path, self.separator, self._columns) for part, path in paths.items()}
        classified = tables["train"].answer == "label"
        labels = class_names(tables["train"].labels, str(paths["train"])) if classified else ()
        if "test" in tables:
            tables["test"].check_known(labels)
        rows = {part: table.rows(labels) for part, table in tables.items()}
        return Rows(train=rows["train"], test=rows.get("test"), labels=labels)

    @property
    def _columns(self) -> dict[str, str]:
        """Our name of a column → the file's."""
        said = next((name for name in SAID if getattr(self, name) is not None), "label")
        wanted = {name: getattr(self, name) for name in ("text", "text_pair", said, "id", "group")}
        return {name: column for name, column in wanted.items() if column is not None}


def _of_folders(paths: Mapping[str, Path]) -> Rows:
    read = {part: images.columns(path) for part, path in paths.items()}
    labels = class_names(read["train"]["label"], str(paths["train"]))
    for place, label in zip(*(read.get("test", {}).get(name, ()) for name in ("id", "label")), strict=True):
        if label not in labels:
            raise unknown_label(paths["test"], place, label, labels)
    rows = {part: to_rows(columns, labels).cast_column("image", datasets.Image()) for part, columns in read.items()}
    return Rows(train=rows["train"], test=rows.get("test"), labels=labels)
