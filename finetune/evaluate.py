"""A model and a split → exactly one prediction for every example id → scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from finetune import batches
from finetune.encode import Batch, Examples
from finetune.precision import tokens_per_pass
from finetune.progress import Silent

if TYPE_CHECKING:  # tasks name a responder, and who only shows a recipe need not wait
    from accelerate import Accelerator

Responder = Callable[[nn.Module, Batch], np.ndarray]  # a model and a batch → what is kept of each of its examples


def logits(module: nn.Module, batch: Batch) -> np.ndarray:
    """What a model says in numbers, in float32."""
    return module(**batch.inputs).logits.float().cpu().numpy()


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """One row per example, in the order of the split."""

    ids: list[str]
    targets: np.ndarray
    responses: np.ndarray


def predict(
    module: nn.Module,
    examples: Examples,
    accelerator: Accelerator,
    progress: Silent | None = None,
    respond: Responder = logits,
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
                parts.append((indices, respond(module, batch)))
            progress.advance(int(examples.lengths[whole].sum()))
    if world > 1:
        from accelerate.utils import gather_object

        parts = gather_object(parts)
    return Predictions(ids=list(examples.ids), targets=examples.targets, responses=_in_order(parts, len(examples)))


def _in_order(parts: list[tuple[np.ndarray, np.ndarray]], count: int) -> np.ndarray:
    """Responses by example index.

    Raises:
        RuntimeError: an example was predicted twice or not at all. Nobody wants that averaged away.
    """
    if not parts and not count:
        return np.empty((0, 0), dtype=np.float32)
    order = np.concatenate([indices for indices, _ in parts]) if parts else np.empty(0, dtype=np.int64)
    if not np.array_equal(np.sort(order), np.arange(count)):
        raise RuntimeError(f"{len(order)} predictions for {count} examples: not one for each")
    stacked = np.concatenate([responses for _, responses in parts])
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
