"""The only training loop. It knows no method, no task and no architecture: a module, examples, a loss and an optimizer.

One update is one global batch: split over processes, then into micro-batches, every part's loss summed and divided by
the number of terms in the whole, so that neither split changes what is learned.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from finetune import batches, precision
from finetune.encode import Batch, Examples
from finetune.masters import Masters
from finetune.optim import AdamW, Budget
from finetune.progress import Silent

LOG_EVERY = 10  # updates; reading a loss makes an accelerator wait, so it is not done at each


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a training run came to."""

    updates: int
    examples: int
    tokens: int
    epochs: int  # completed; fewer than asked for where training stopped early
    seconds: float  # of updates alone: validation is not in it
    diverged: bool
    masters: Masters | None = None  # None: nothing was rounded

    @property
    def unreached(self) -> list[nn.Parameter]:
        """What no gradient came to; asked before `unround`."""
        return [] if self.masters is None else self.masters.unreached

    def unround(self) -> None:
        """Make the model what was trained, where it is a rounded copy of that."""
        if self.masters is not None:
            self.masters.unrounded()


def fit(
    module: nn.Module,
    train: Examples,
    *,
    loss: Callable[[Tensor, Batch], Tensor],
    units: np.ndarray,
    training: Iterable[nn.Module],
    reached: Mapping[nn.Parameter, Tensor],
    optim: AdamW,
    budget: Budget,
    seed: int,
    accelerator: Accelerator,
    validate: Callable[[], float],
    record: Callable[[dict[str, Any]], None],
    progress: Silent,
) -> Fit:
    """Train what in `module` requires a gradient.

    Args:
        module: `module(**batch.inputs).logits`; on the device already.
        loss: summed over a batch's terms; `units` counts the terms of each example.
        training: the modules to be in training mode.
        reached: of a table, the rows that `train` looks up.
        validate: a score, higher is better; called after each epoch if the budget has patience.
        record: takes the lines of the learning curve.
    """
    wrapped = accelerator.prepare_model(module) if accelerator.num_processes > 1 else module
    masters = Masters(optim.groups(module), optim.build, reached)  # after every process got the first one's weights
    if wrapped is module:
        masters.collect_at_once()
    dtype = next(module.parameters()).dtype
    together = precision.tokens_per_piece(accelerator.device)
    rank, world = accelerator.process_index, accelerator.num_processes
    per_epoch = math.ceil(len(train) / budget.batch_size)
    epochs = budget.passes(len(train))
    steps = epochs * per_epoch
    step = examples = tokens = epoch = 0
    best = _Best(masters, budget.patience)
    seconds, diverged = 0.0, False
    unread: list[Tensor] = []

    module.eval()
    for part in training:
        part.train()
    progress.start("train", int(train.lengths.sum()) * epochs, "tok")
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        for whole in batches.epoch(train.lengths, budget.batch_size, seed, epoch):
            terms = int(units[whole].sum())
            pieces = batches.micro(whole, rank, world, train.positions, together, budget.micro_batch)
            total = torch.zeros((), device=accelerator.device)
            for number, indices in enumerate(pieces, 1):
                # a process left without examples still takes part in the sum of gradients: one example, weight zero
                weight = world / terms if len(indices) else 0.0
                indices = indices if len(indices) else whole[:1]
                batch = train.batch(indices, batches.multiple(len(indices))).to(accelerator.device, dtype)
                # processes add up their gradients once an update, unless each part must go to the masters
                waits = number < len(pieces) and not masters.rounded
                with accelerator.no_sync(wrapped) if waits else nullcontext():
                    part_loss = loss(wrapped(**batch.inputs).logits, batch) * weight
                    part_loss.backward()
                if masters.rounded:
                    masters.collect()
                total += part_loss.detach()
            factor = optim.factor(step, steps)
            norm = masters.step(optim.clip_norm, factor)
            step, examples, tokens = step + 1, examples + len(whole), tokens + int(train.lengths[whole].sum())
            unread.append(total)
            progress.advance(int(train.lengths[whole].sum()))
            if step % LOG_EVERY == 0 or step == epoch * per_epoch:
                mean = torch.stack(unread).mean()
                mean = float(accelerator.reduce(mean, reduction="mean"))  # pyright: ignore[reportArgumentType]
                unread.clear()
                line = {"loss": mean, "gradient_norm": float(norm), "learning_rate": optim.learning_rate * factor}
                diverged = not (math.isfinite(mean) and math.isfinite(float(norm)))
                # JSON has no word for a number that is none
                record({"step": step, "epoch": epoch} | {k: v if math.isfinite(v) else None for k, v in line.items()})
                if diverged:
                    break
        seconds += time.perf_counter() - started
        if diverged or (budget.patience is not None and best.is_enough(validate(), epoch, record)):
            break
    progress.end()
    masters.let_go()
    best.restore()
    return Fit(
        updates=step,
        examples=examples,
        tokens=tokens,
        epochs=epoch,
        seconds=seconds,
        diverged=diverged,
        masters=masters,
    )


def solved(solve: Callable[[Silent], int], train: Examples, progress: Silent) -> Fit:
    """What a training without the loop came to."""
    started = time.perf_counter()
    passes = solve(progress)
    return Fit(
        updates=passes,
        examples=passes * len(train),
        tokens=passes * train.tokens,
        epochs=passes,
        seconds=time.perf_counter() - started,
        diverged=False,
    )


class _Best:
    """Early stopping: the weights of the best epoch so far, kept only if there is a patience to run out."""

    def __init__(self, masters: Masters, patience: int | None) -> None:
        self.masters, self.patience = masters, patience
        self.score, self.epoch, self.kept = -math.inf, 0, list[Tensor]()

    def is_enough(self, score: float, epoch: int, record: Callable[[dict[str, Any]], None]) -> bool:
        """Take an epoch's validation score; True once `patience` epochs were no better than the best."""
        record({"epoch": epoch, "validation": score})
        if score > self.score:
            self.score, self.epoch = score, epoch
            self.kept = [master.detach().clone() for master in self.masters.masters]
        return self.patience is not None and epoch - self.epoch >= self.patience

    @torch.no_grad()
    def restore(self) -> None:
        for master, kept in zip(self.masters.masters, self.kept, strict=False):
            master.copy_(kept)
        self.masters.write_back()
