"""A data set of the Hugging Face hub, at one commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import datasets

from finetune import packaged
from finetune.data import Data, Fetched, Rows
from finetune.errors import InputError, one_of
from finetune.hashing import content_key


@dataclass(frozen=True, kw_only=True)
class HubDataset(Data):
    """Rows of a hub data set. Only files are read; a data set that needs a script to load is refused."""

    id: str
    revision: str | None = None  # commit, tag or branch; None: the default branch. The commit is recorded either way
    config: str | None = None  # the subset, where there are several
    files: tuple[str, ...] = ("*",)  # which of the repository's files to download
    train: str = "train"  # name of the split; so is the next
    test: str | None = "test"  # None: one is cut from train
    text: str | None = "text"  # name of the column; so are the next three
    text_pair: str | None = None
    image: str | None = None
    label: str = "label"

    def fetch(self, tell: Callable[[str], None]) -> Fetched:
        from finetune import hub

        folder, commit = hub.snapshot(self.id, "dataset", self.revision, ("README.md", *self.files), tell)
        sha256 = content_key(self.id, commit, self)  # a commit is the hash of what it holds
        return Fetched(path=folder, sha256=sha256, source={"dataset": self.id, "revision": commit})

    def load(self, fetched: Fetched) -> Rows:
        cache = str(packaged.cache_dir() / "tables" / fetched.sha256)
        try:
            parts = datasets.load_dataset(str(fetched.path), self.config, cache_dir=cache)
        except (ValueError, OSError, RuntimeError) as error:
            raise InputError(f"data set {self.id} cannot be read: {' '.join(str(error).split())[:300]}") from error
        assert isinstance(parts, datasets.DatasetDict)
        train = self._part(parts, self.train)
        feature = train.features["label"]
        if not isinstance(feature, datasets.ClassLabel):
            feature = datasets.ClassLabel(names=sorted(map(str, set(train["label"]))))
        test = None if self.test is None else self._part(parts, self.test).cast_column("label", feature)
        labels = tuple(feature.names)
        if test is not None and min(test["label"]) < 0:
            raise InputError(f"split {self.test!r} of {self.id} has rows without a label; choose another data.test")
        return Rows(train=train.cast_column("label", feature), test=test, labels=labels)

    def _part(self, parts: datasets.DatasetDict, name: str) -> datasets.Dataset:
        if name not in parts:
            raise one_of(f"split of {self.id}", name, map(str, parts))
        table = parts[name]
        wanted = {"text": self.text, "text_pair": self.text_pair, "image": self.image, "label": self.label}
        chosen: dict[str, Any] = {column: new for new, column in wanted.items() if column is not None}
        for column in chosen:
            if column not in table.column_names:
                raise one_of(f"column of {self.id}", column, table.column_names)
        table = table.select_columns(list(chosen)).rename_columns(chosen)
        return table.add_column("id", [f"{name}-{number:06d}" for number in range(len(table))])  # pyright: ignore
