"""A checkpoint that never learned anything: the same network with random weights, to see what pretraining is worth."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

import torch

from finetune.cache import UNTRAINED, keeping, kept_dir
from finetune.checkpoint import Checkpoint, Weights, hash_weights
from finetune.errors import InputError
from finetune.hashing import content_key
from finetune.loading import load_config, quiet
from finetune.progress import Silent

FORMAT = 1  # counts up when the same seed gives other weights


@dataclass(frozen=True, kw_only=True)
class Untrained(Checkpoint):
    """The network, tokenizer or image processor of a checkpoint, with weights as its config draws them."""

    of: Checkpoint
    seed: int = 0  # of the weights; counted up with a run's own, for one drawing of them may be a lucky one

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.seed < 2**32:
            raise InputError(f"checkpoint.seed must be in [0, 2**32), got {self.seed}")

    def reseeded(self, number: int) -> Untrained:
        return replace(self, seed=self.seed + number)

    def fetch(self, progress: Silent) -> Weights:
        weights = self.of.fetch(progress)
        folder = kept_dir(UNTRAINED) / content_key(FORMAT, weights.settings, self.seed)
        if not folder.is_dir():
            with keeping(folder) as scratch:
                self._draw(weights, str(scratch))
                for path in weights.folder.iterdir():  # last: the config is to be the checkpoint's, as it is there
                    if path.is_file() and "safetensors" not in path.name:
                        shutil.copyfile(path, scratch / path.name)
        return replace(
            weights, folder=folder, sha256=hash_weights(folder), name=f"untrained {weights.name}", reference=str(folder)
        )

    def _draw(self, weights: Weights, folder: str) -> None:
        from transformers import AutoModel

        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(self.seed)
            AutoModel.from_config(load_config(weights), trust_remote_code=False).save_pretrained(folder)
