"""A model and a split → exactly one prediction for every example id → scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from finetune import batches
from finetune.encode import Examples
from finetune.precision import tokens_per_pass
from finetune.progress import Silent


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """One row per example, in the order of the split."""

    ids: list[str]
    targets: np.ndarray
    logits: np.ndarray


def predict(
    module: nn.Module, examples: Examples, accelerator: Accelerator, progress: Silent | None = None
) -> Predictions:
    """Run every example once, over all processes; afterwards every process holds every prediction."""
    progress = progress or Silent()
    rank, world = accelerator.process_index, accelerator.num_processes
    dtype = next(module.parameters()).dtype
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    with predicting(module), torch.no_grad():
        for whole in batches.sweep(examples.lengths, tokens_per_pass(accelerator.device) * world):
            indices = batches.share(whole, rank, world)
            if len(indices):
                batch = examples.batch(indices, batches.multiple(len(indices))).to(accelerator.device, dtype)
                parts.append((indices, module(**batch.inputs).logits.float().cpu().numpy()))
            progress.advance(int(examples.lengths[whole].sum()))
    if world > 1:
        parts = gather_object(parts)
    return Predictions(ids=list(examples.ids), targets=examples.targets, logits=_in_order(parts, len(examples)))


def _in_order(parts: list[tuple[np.ndarray, np.ndarray]], count: int) -> np.ndarray:
    """Logits by example index.

    Raises:
        RuntimeError: an example was predicted twice or not at all. Nobody wants that averaged away.
    """
    if not parts and not count:
        return np.empty((0, 0), dtype=np.float32)
    order = np.concatenate([indices for indices, _ in parts]) if parts else np.empty(0, dtype=np.int64)
    if not np.array_equal(np.sort(order), np.arange(count)):
        raise RuntimeError(f"{len(order)} predictions for {count} examples: not one for each")
    stacked = np.concatenate([logits for _, logits in parts])
    ordered = np.empty_like(stacked)
    ordered[order] = stacked
    return ordered


@contextmanager
def predicting(module: nn.Module) -> Iterator[None]:
    """Eval mode for a while; afterwards each module is in the mode it was in."""
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for child, mode in modes.items():
            child.training = mode
