"""A checkpoint that begins with nothing: a system of ours with random weights, a tokenizer of its texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from finetune.cache import UNTRAINED, keeping, kept_dir
from finetune.checkpoint import Checkpoint, Weights, hash_settings, hash_weights
from finetune.data import PORTION, Data
from finetune.errors import InputError
from finetune.hashing import content_key
from finetune.loading import quiet
from finetune.progress import Silent
from finetune.splits import Split
from finetune.transformer.systems import System, Vocabulary
from finetune.transformer.tokenizers import END, START, Tokenizer

if TYPE_CHECKING:
    import datasets

FORMAT = 1  # counts up when the same parts come to other files
SEED = 0  # of the weights; method `scratch` draws them anew by the run's own seed
NO_TEXT = ("id", "group")  # columns of text that are nothing to read


@dataclass(frozen=True, kw_only=True)
class Blank(Checkpoint):
    """A network that was never trained, written once into the cache as a folder in the Hugging Face layout."""

    system: System
    tokenizer: Tokenizer | None = None  # None: the system reads images
    texts: Data | None = None  # whose training rows the tokenizer learns from, sources and targets alike
    split: Split = Split()  # of these rows, as the recipe's: what is held out there, no tokenizer has seen

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tokenizer", "texts"):
            given, texts = getattr(self, name) is not None, self.system.reads == "text"
            if given != texts:
                kind = type(self.system).__name__
                wanted = "must be given" if texts else "must be none"
                raise InputError(f"checkpoint.{name} {wanted}: {kind} reads {self.system.reads}s")

    def fetch(self, progress: Silent) -> Weights:
        fetched = None if self.texts is None else self.texts.fetch(progress)
        rows = () if fetched is None else (fetched.sha256, self.split)
        folder = kept_dir(UNTRAINED) / content_key(FORMAT, SEED, self.system, self.tokenizer, *rows)
        if not folder.is_dir():
            with keeping(folder) as scratch, quiet():
                if self.texts is None or fetched is None:
                    self._write(scratch, None)
                else:
                    self._write(scratch, self.split.cut(self.texts.load(fetched)).train)
        return Weights(
            folder=folder,
            sha256=hash_weights(folder),
            settings=hash_settings(folder),
            name=f"blank {type(self.system).__name__}",
            reference=str(folder),
        )

    def _write(self, folder: Path, rows: datasets.Dataset | None) -> None:
        from finetune.transformer import models

        encoder = _image_processor(self.system) if rows is None else self._tokenizer(rows)
        encoder.save_pretrained(folder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            models.model(self.system, None if rows is None else _vocabulary(encoder)).save_pretrained(folder)
        # which version wrote it is nothing that the network computes, and would make another checkpoint of it
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config.pop("transformers_version", None)
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def _tokenizer(self, rows: datasets.Dataset) -> Any:
        assert self.tokenizer is not None
        return self.tokenizer.train(_texts(rows))


def _texts(rows: datasets.Dataset) -> Iterator[str]:
    """All that is text in the rows."""
    columns = [name for name, kind in rows.features.items() if getattr(kind, "dtype", "") == "string"]
    columns = [name for name in columns if name not in NO_TEXT]
    for start in range(0, len(rows), PORTION):
        portion = rows[start : start + PORTION]
        for name in columns:
            yield from (text for text in portion[name] if text)


def _vocabulary(tokenizer: Any) -> Vocabulary:
    start, end = tokenizer.convert_tokens_to_ids([START, END])
    return Vocabulary(size=len(tokenizer), pad=tokenizer.pad_token_id, start=start, end=end)


def _image_processor(system: System) -> Any:
    """Pixels as they are, brought from 0…255 to −1…1."""
    from transformers import ViTImageProcessorPil

    side, middle = system.config(None)["image_size"], [0.5] * 3
    return ViTImageProcessorPil(size={"height": side, "width": side}, image_mean=middle, image_std=middle)
