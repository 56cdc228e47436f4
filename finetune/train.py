"""The only training loop. It knows no method, no task and no architecture: a module, examples, a loss and an optimizer.

One update is one global batch: split over processes, then into micro-batches, every part's loss summed and divided by
the number of terms in the whole, so that neither split changes what is learned.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from finetune import allocator, batches, precision, sharded
from finetune.encode import Batch, Examples
from finetune.errors import InputError
from finetune.exchange import OUT_OF_MEMORY, Exchange, alike
from finetune.keeper import Keeper
from finetune.masters import Masters
from finetune.optim import AdamW, Budget
from finetune.progress import Silent
from finetune.sharded import Layout, Learned
from finetune.state import State

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
    micro_batch: int | None = None  # largest number of examples in one forward pass; None: a process' whole share
    learned: Learned | None = None  # None: it was trained without the loop

    @property
    def unreached(self) -> list[nn.Parameter]:
        """What no gradient came to; asked before `unround`."""
        return [] if self.learned is None else self.learned.unreached

    def unround(self) -> None:
        """Make the model what was trained, where it is a rounded copy of that."""
        if self.learned is not None:
            self.learned.unrounded()


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
    keeper: Keeper,
    progress: Silent,
) -> Fit:
    """Train what in `module` requires a gradient.

    Args:
        module: `module(**batch.inputs).logits`; on the device already.
        loss: summed over a batch's terms; `units` counts the terms of each example.
        training: the modules to be in training mode.
        reached: of a table, the rows that `train` looks up.
        validate: a score, higher is better; called after each epoch if the budget has patience.
        keeper: takes the lines of the learning curve and snapshots, and knows where an interrupted training goes on.

    Raises:
        Stopped: somebody asked for it.
        InputError: memory does not suffice for a single example, or for what does not depend on how many examples are
            computed at a time: copies of what is trained, gradients of other processes, what the optimizer keeps; or
            the model is to be spread over processes, and memory does not suffice for a piece, or it cannot be spread.
    """
    alike(module, accelerator)
    dtype = next(module.parameters()).dtype
    layout = sharded.layout(module, accelerator)
    with _room("copies of what is trained", layout):
        masters = Masters(optim.groups(layout.module), optim.build, layout.tables(reached), layout)
    exchange = Exchange(layout.module, masters, accelerator, spread=layout.spread)
    state, best = State(layout.module, masters, accelerator), _Best(budget.patience)
    together = precision.tokens_per_piece(accelerator.device)
    rank, world = accelerator.process_index, accelerator.num_processes
    per_epoch = math.ceil(len(train) / budget.batch_size)
    epochs = budget.passes(len(train))
    steps = epochs * per_epoch
    epoch, diverged, drawn = 0, False, train

    def cut(whole: np.ndarray, rank: int = rank) -> list[np.ndarray]:
        return batches.micro(whole, rank, world, train.positions, together, state.count.micro_batch)

    def backward(whole: np.ndarray) -> Tensor:
        """The loss of a global batch, or of this process' part of it; gradients are where `masters` collects them."""
        terms, pieces = max(1, int(units[whole].sum())), cut(whole)  # of no term there is no loss either
        total = torch.zeros((), device=accelerator.device)
        for number, indices in enumerate(pieces, 1):
            # a process left without examples still takes part in the sum of gradients: one example, weight zero
            weight = world / terms if len(indices) else 0.0
            indices = indices if len(indices) else whole[:1]
            batch = drawn.batch(indices, batches.multiple(len(indices))).to(accelerator.device, dtype)
            if number == len(pieces):
                exchange.last()  # processes add up their gradients once an update
            part_loss = loss(layout(**batch.inputs).logits, batch) * weight
            part_loss.backward()
            total += part_loss.detach()
        return total

    layout.module.eval()
    for part in training:
        layout.child(part).train()
    keeper.go_on(state)
    count = state.count
    # the smaller: of a training that goes on one is what memory sufficed for, the other what somebody asks for since
    sizes = [each for each in (count.micro_batch, budget.micro_batch) if each is not None]
    count.micro_batch = min(sizes, default=None)
    progress.start("train", int(train.lengths.sum()) * epochs, "tok", done=count.tokens)
    for epoch in range(max(1, math.ceil(count.step / per_epoch)), epochs + 1):
        drawn = train.drawn(seed, epoch)
        clock = time.perf_counter()
        done = count.step - (epoch - 1) * per_epoch
        for whole in batches.epoch(train.lengths, budget.batch_size, seed, epoch)[done:]:
            total, wanted = _fitting(backward, cut, whole, state, keeper, exchange, layout)
            state.unread.append(total)
            factor = optim.factor(count.step, steps)
            with _room("what the optimizer keeps of each parameter", layout):
                norm = masters.step(optim.clip_norm, factor)
            state.norms.append(norm)
            tokens = int(train.lengths[whole].sum())
            count.step, count.examples, count.tokens = (
                count.step + 1,
                count.examples + len(whole),
                count.tokens + tokens,
            )
            progress.advance(tokens)
            if count.step % LOG_EVERY == 0 or count.step == epoch * per_epoch:
                losses = accelerator.reduce(torch.stack(state.unread), reduction="mean")
                assert isinstance(losses, Tensor)
                norms = torch.stack(state.norms).tolist()
                state.unread.clear()
                state.norms.clear()
                line = {"loss": float(losses.mean()), "gradient_norm": norms[-1]}
                diverged = state.watch.diverged(losses.tolist()) or not all(map(math.isfinite, [line["loss"], *norms]))
                line["learning_rate"] = optim.learning_rate * factor
                # JSON has no word for a number that is none
                told = {name: value if math.isfinite(value) else None for name, value in line.items()}
                keeper.record({"step": count.step, "epoch": epoch} | told)
            count.seconds += time.perf_counter() - clock
            if diverged:
                break
            keeper.after(state, wanted)
            clock = time.perf_counter()
        if diverged:
            break
        if budget.patience is not None:
            with layout.lent(masters):
                score = validate()
            if best.is_enough(state, score, epoch, keeper):
                break
    progress.end()
    masters.let_go()
    best.restore(state)
    return Fit(
        updates=count.step,
        examples=count.examples,
        tokens=count.tokens,
        epochs=epoch,
        seconds=count.seconds,
        diverged=diverged,
        micro_batch=state.count.micro_batch,
        learned=layout.learned(masters),
    )


def _fitting(
    backward: Callable[[np.ndarray], Tensor],
    cut: Callable[..., list[np.ndarray]],
    whole: np.ndarray,
    state: State,
    keeper: Keeper,
    exchange: Exchange,
    layout: Layout,
) -> tuple[Tensor, int]:
    """`backward`, in pieces half as large, and half again, where some process' memory does not suffice.

    All processes do so at the same update, begin it anew with the random numbers and averages it had, and learn the
    same.

    Returns:
        The loss, and the most that any keeper wants after this update.

    Raises:
        InputError: it does not suffice for one example; or not for a piece, and the model is spread over processes,
            which wait for each other in every block and cannot begin anew.
    """

    def largest() -> int:
        """Examples of a piece: of the first process, whose part is the largest, so that all say the same."""
        return max(map(len, cut(whole, 0)))

    while True:
        begin_anew, total = state.remembered(), None
        try:
            total = backward(whole)
        except (MemoryError, RuntimeError) as error:
            if not allocator.ran_out(error):
                raise
            if layout.spread:
                raise _short_of_memory(largest()) from error
        # only here, where the error is gone, is what its frames held free again
        with _room("the gradients of other processes", layout):
            exchange.close()
        wanted = exchange.greatest(OUT_OF_MEMORY if total is None else keeper.wants(state.count.step + 1))
        if total is not None and wanted < OUT_OF_MEMORY:
            return total, wanted
        if (most := largest()) == 1:
            raise _short_of_memory(most)
        state.masters.forget()
        begin_anew()
        allocator.return_freed()
        state.count.micro_batch = math.ceil(most / 2)
        keeper.record({"step": state.count.step, "micro_batch": state.count.micro_batch, "why": "out of memory"})


@contextmanager
def _room(what: str, layout: Layout) -> Iterator[None]:
    """Around what needs the same memory however few examples are computed at a time: there is nothing to try.

    Raises:
        InputError: it does not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not allocator.ran_out(error):
            raise
        other = "spread over more processes" if layout.spread else "spread by accelerate's config fsdp2.yaml"
        raise InputError(
            f"memory does not suffice for {what}: train fewer parameters, by --method lora or a smaller method.rank, "
            f"or take a model {other}"
        ) from error


def _short_of_memory(most: int) -> InputError:
    """What to say where it does not suffice for so many examples at a time, and fewer cannot be tried."""
    if most == 1:
        return InputError("memory does not suffice for a single example: shorten texts, or train fewer parameters")
    return InputError(
        f"memory does not suffice for {most} examples at a time, and a model that is spread over processes cannot try "
        f"fewer by itself: --set budget.micro_batch={most // 2}"
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

    def __init__(self, patience: int | None) -> None:
        self.patience = patience

    def is_enough(self, state: State, score: float, epoch: int, keeper: Keeper) -> bool:
        """Take an epoch's validation score; True once `patience` epochs were no better than the best."""
        keeper.record({"epoch": epoch, "validation": score})
        if state.count.best is None or score > state.count.best:
            state.count.best, state.count.best_epoch = score, epoch
            state.kept = [master.detach().clone() for master in state.masters.masters]
        return self.patience is not None and epoch - state.count.best_epoch >= self.patience

    @torch.no_grad()
    def restore(self, state: State) -> None:
        for master, kept in zip(state.masters.masters, state.kept, strict=False):
            master.copy_(kept)
        state.masters.write_back()
