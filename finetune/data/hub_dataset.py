"""A data set of the Hugging Face hub, at one commit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import datasets
from datasets.data_files import get_data_patterns, resolve_pattern, sanitize_patterns
from datasets.exceptions import DatasetsError
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard
from huggingface_hub.utils import filter_repo_objects

from finetune.cache import cache_dir
from finetune.data import Data, Fetched, Rows, class_names, quiet, to_tagged
from finetune.errors import InputError, one_of
from finetune.hashing import content_key
from finetune.progress import Silent

SAID = ("target", "value", "tags")  # fields of what may be said in place of labels
NUMBERS = ("float", "int", "uint")  # how the names of their formats begin


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
    # of texts that are to be written, in place of labels; "translation.fr" is the column "fr" within another. It is
    # shown, and so hashed, only where it is given
    target: str | None = field(default=None, repr=False)
    value: str | None = field(default=None, repr=False)  # the same of numbers that are to be said
    # the same of lists of words, in place of texts, and of as many tags that are to be said
    words: str | None = field(default=None, repr=False)
    tags: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_one(SAID)
        if (self.words is None) != (self.tags is None):
            raise InputError(f"data.words and data.tags must be given together, got {self.words!r} and {self.tags!r}")

    def fetch(self, progress: Silent) -> Fetched:
        from finetune import hub

        folder, commit = hub.snapshot(self.id, "dataset", self.revision, ("README.md", *self.files), progress)
        said = [] if self.target is None else [self.target]
        for name in ("value", "words", "tags"):
            said += [] if getattr(self, name) is None else [name, getattr(self, name)]
        sha256 = content_key(replace(self, revision=commit), *said)  # a commit is the hash of what it holds
        return Fetched(path=folder, sha256=sha256, source={"dataset": self.id, "revision": commit})

    def load(self, fetched: Fetched) -> Rows:
        wanted = [name for name in (self.train, self.test) if name is not None]
        with self._reading():
            config, patterns = self._splits(fetched.path)
            parts = datasets.load_dataset(
                str(fetched.path),
                config,
                data_files={name: self._paths(fetched.path, patterns, name) for name in wanted},
                cache_dir=str(cache_dir() / "tables" / fetched.sha256),
                verification_mode="no_checks",  # the card counts the splits that are not wanted too
            )
        assert isinstance(parts, datasets.DatasetDict)
        train = self._part(parts, "train")
        test = None if self.test is None else self._part(parts, "test")
        if self._answer == "tags":
            return self._tagged(train, test)
        if self._answer != "label":
            return Rows(train=train, test=test, labels=())
        feature = train.features["label"]
        if isinstance(feature, datasets.ClassLabel):
            return Rows(train=train, test=test, labels=tuple(feature.names))
        labels = class_names(map(str, train["label"]), f"split {self.train!r} of {self.id}")
        return Rows(train=self._indexed(train, labels), test=test and self._indexed(test, labels), labels=labels)

    @property
    def _answer(self) -> str:
        """Our name of the column that holds what is to be said."""
        return next((name for name in SAID if getattr(self, name) is not None), "label")

    def _splits(self, folder: Path) -> tuple[str | None, dict[str, list[str]]]:
        """The config and its splits' files, as patterns: as the card says, else guessed from the files' names."""
        card = folder / "README.md"
        configs = MetadataConfigs()
        if card.is_file():
            configs = MetadataConfigs.from_dataset_card_data(DatasetCard.load(card).data)  # pyright: ignore
        name = self.config or configs.get_default_config_name()
        if name is None and configs:
            raise InputError(f"data set {self.id} has several configs: set data.config to one of {', '.join(configs)}")
        if name is not None and name not in configs:
            raise one_of(f"config of {self.id}", name, configs)
        given = configs[name] if name is not None else {}
        below = Path(given.get("data_dir") or "")
        found = sanitize_patterns(given.get("data_files") or get_data_patterns(str(folder / below)))
        return name, {split: [str(below / pattern) for pattern in patterns] for split, patterns in found.items()}

    def _paths(self, folder: Path, patterns: dict[str, list[str]], split: str) -> list[str]:
        """A split's files among `files`: another recipe may have put more into the same folder."""
        if split not in patterns:
            raise one_of(f"split of {self.id}", split, patterns)
        paths: list[str] = []
        for pattern in patterns[split]:
            with suppress(FileNotFoundError):
                paths += resolve_pattern(pattern, str(folder))
        ours = list(
            filter_repo_objects(
                dict.fromkeys(paths),
                allow_patterns=list(self.files),
                key=lambda path: Path(path).relative_to(folder).as_posix(),
            )
        )
        if not ours:
            raise InputError(
                f"split {split!r} of {self.id} is in {', '.join(patterns[split])}, which data.files leaves out"
            )
        return ours

    def _part(self, parts: datasets.DatasetDict, role: Literal["train", "test"]) -> datasets.Dataset:
        name = getattr(self, role)
        table = parts[name]
        wanted = {"text": self.text, "text_pair": self.text_pair, "image": self.image}
        if self.words is not None:
            wanted = {"words": self.words}
        wanted[self._answer] = getattr(self, self._answer)
        chosen: dict[str, Any] = {column: new for new, column in wanted.items() if column is not None}
        if any("." in column for column in chosen.keys() - set(table.column_names)):
            table = table.flatten()
        for column in chosen:
            if column not in table.column_names:
                raise one_of(f"column of {self.id}", column, table.column_names)
        table = table.select_columns(list(chosen)).rename_columns(chosen)
        if self._answer == "label":
            self._check_labels(table, role, name)
        if self._answer == "value":
            self._check_values(table, role, name)
        if self._answer == "tags":
            self._check_tags(table, role, name)
        return table.add_column("id", [f"{name}-{number:06d}" for number in range(len(table))])  # pyright: ignore

    def _check_labels(self, table: datasets.Dataset, role: str, name: str) -> None:
        feature = table.features["label"]
        classes = isinstance(feature, datasets.ClassLabel)
        if not classes and (not isinstance(feature, datasets.Value) or feature.dtype.startswith("float")):
            raise InputError(
                f"column {self.label!r} of {self.id} holds no classes but {feature}; data.value is for numbers"
            )
        without = sum(label is None or (classes and label < 0) for label in table["label"])
        if without:
            raise InputError(
                f"split {name!r} of {self.id} has {without} rows without a label; choose another data.{role}"
            )

    def _check_values(self, table: datasets.Dataset, role: str, name: str) -> None:
        feature = table.features["value"]
        if not isinstance(feature, datasets.Value) or not feature.dtype.startswith(NUMBERS):
            raise InputError(f"column {self.value!r} of {self.id} holds no numbers but {feature}")
        without = sum(value is None or not math.isfinite(value) for value in table["value"])
        if without:
            raise InputError(
                f"split {name!r} of {self.id} has {without} rows without a value; choose another data.{role}"
            )

    def _check_tags(self, table: datasets.Dataset, role: str, name: str) -> None:
        for what, column in (("words", self.words), ("tags", self.tags)):
            each = getattr(table.features[what], "feature", None)
            if not isinstance(each, datasets.Value | datasets.ClassLabel) or each.dtype.startswith("float"):
                raise InputError(f"column {column!r} of {self.id} holds no lists of {what} but {table.features[what]}")
        hidden = (None, -1) if isinstance(table.features["tags"].feature, datasets.ClassLabel) else (None,)
        without = sum(tags is None or any(tag in hidden for tag in tags) for tags in table["tags"])
        if without:
            raise InputError(f"split {name!r} of {self.id} has {without} rows without tags; choose another data.{role}")

    def _tagged(self, train: datasets.Dataset, test: datasets.Dataset | None) -> Rows:
        """Rows with the numbers of their tags: as the data set has them, else by name."""
        feature = train.features["tags"].feature
        if isinstance(feature, datasets.ClassLabel):
            return Rows(train=train, test=test, labels=tuple(feature.names))
        named = (str(tag) for tags in train["tags"] for tag in tags)
        labels = class_names(named, f"split {self.train!r} of {self.id}")
        return Rows(
            train=self._numbered(train, labels, self.train),
            test=None if test is None else self._numbered(test, labels, self.test),
            labels=labels,
        )

    def _numbered(self, table: datasets.Dataset, labels: tuple[str, ...], name: str | None) -> datasets.Dataset:
        columns = {"id": table["id"][:], "words": table["words"][:]}
        tags = [[str(tag) for tag in each] for each in table["tags"]]
        return to_tagged({**columns, "tags": tags}, labels, f"split {name!r} of {self.id}")

    def _indexed(self, table: datasets.Dataset, labels: tuple[str, ...]) -> datasets.Dataset:
        index = {label: position for position, label in enumerate(labels)}
        names = list(map(str, table["label"]))
        for name in names:
            if name not in index:
                raise InputError(f"split {self.test!r} of {self.id}: {one_of('label', name, labels)}")
        return table.remove_columns("label").add_column("label", [index[name] for name in names])  # pyright: ignore

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turns the reader's complaints into one line."""
        try:
            with quiet():
                yield
        except InputError:
            raise
        except (DatasetsError, ValueError, OSError, RuntimeError) as error:
            reason = " ".join(str(error.__cause__ or error).split())[:300]
            raise InputError(f"data set {self.id} cannot be read: {reason}") from error
