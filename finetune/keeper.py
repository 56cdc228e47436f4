"""What is kept of a training while it goes on: the lines of its curve, and snapshots; and when it has to stop.

All processes decide alike and at the same update: each says what it wants, and the greatest of it is done.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from finetune.errors import InputError
from finetune.outputs import CURVE, SNAPSHOTS, RunFolder
from finetune.progress import Silent
from finetune.signals import Signals, Stopped
from finetune.snapshots import Snapshots

if TYPE_CHECKING:
    from accelerate import Accelerator

    from finetune.state import State

SECONDS = 60.0  # between snapshots, at least
SHARE = 0.02  # of the time, at most, goes into writing them
DUE = 1  # what a process wants that holds it time for a snapshot; the numbers of the signals are greater


class Keeper:
    """Keeps nothing, of a training that is forgotten; the contract of what keeps more."""

    def record(self, line: Mapping[str, Any]) -> None:
        """Take a line of the learning curve."""

    def go_on(self, state: State) -> None:
        """Before the first update: put back what an interrupted training left."""

    def wants(self, step: int) -> int:
        """What this process wants after update `step`, which is being computed: the more, the greater the number."""
        return 0

    def after(self, state: State, wanted: int) -> None:
        """After an update.

        Args:
            wanted: the most that the keeper of any process wants.

        Raises:
            Stopped: somebody asked for it.
        """

    def waiting(self) -> AbstractContextManager[None]:
        """While training is in it, `after` is where it stops."""
        return nullcontext()


class RunKeeper(Keeper):
    """Of a run, in its folder; the first process writes.

    Args:
        every: updates between snapshots; None: by the time they take.
    """

    def __init__(
        self,
        folder: RunFolder,
        base: str,
        every: int | None,
        signals: Signals,
        accelerator: Accelerator,
        progress: Silent,
    ) -> None:
        self.folder, self.every, self.signals, self.progress = folder, every, signals, progress
        self.accelerator, self.writes = accelerator, accelerator.is_main_process
        self.snapshots = Snapshots(folder.path / SNAPSHOTS, base)
        self.lines, self.cost, self.last, self.told = 0, 0.0, time.monotonic(), ""

    def record(self, line: Mapping[str, Any]) -> None:
        self.lines += 1
        if self.writes:
            self.folder.append(CURVE, line)

    def go_on(self, state: State) -> None:
        found, wrong = self.snapshots.newest()
        for reason in wrong:
            self.progress.say(f"not taken: {reason}")
        if found is not None:
            state.put_back(found)
            self.lines = found.facts["lines"]
            self.progress.say(f"goes on after update {found.step}")
            if (before := found.facts["processes"]) != (now := self.accelerator.num_processes):
                self.progress.say(f"with {now} processes instead of {before}: equal but for rounding and dropout")
        self._check_alike(0 if found is None else found.step)
        if self.writes:
            self.folder.cut(CURVE, self.lines)
        self.last = time.monotonic()

    def wants(self, step: int) -> int:
        return self.signals.asked or (DUE if self._due(step) else 0)

    def after(self, state: State, wanted: int) -> None:
        if wanted and self._sound(state):
            self._write(state)
            if wanted > DUE:
                self.accelerator.wait_for_everyone()  # who ends first has the others ended by the launcher
                raise Stopped(wanted, state.count.step)

    def waiting(self) -> AbstractContextManager[None]:
        return self.signals.wait()

    def _sound(self, state: State) -> bool:
        """Whether no loss or gradient was without a number since the last look: else training has diverged, and ends by
        that. A gradient may be the first, and of the weights it makes there is no loss yet.
        """
        if not state.unread:
            return True
        losses = self.accelerator.reduce(torch.stack(state.unread), reduction="mean")
        assert isinstance(losses, Tensor)
        return bool(losses.isfinite().all()) and bool(torch.stack(state.norms).isfinite().all())

    def _due(self, step: int) -> bool:
        if self.every is not None:
            return step % self.every == 0
        return time.monotonic() - self.last > max(SECONDS, self.cost / SHARE)

    def _write(self, state: State) -> None:
        started = time.monotonic()
        facts, tensors = state.facts() | {"lines": self.lines}, state.tensors()
        if self.writes:
            try:
                self.snapshots.write(state.count.step, facts, tensors)
            except OSError as error:
                without = "training goes on while its curve can be written"
                self._tell(f"no snapshot after update {state.count.step}: {error}; {without}")
        for _ in tensors:  # what this process does not write, or no more: others may wait for its shares
            pass
        self.last = time.monotonic()
        self.cost = self.last - started

    def _tell(self, text: str) -> None:
        """Once, not after each update."""
        if not self.told:
            self.progress.say(text)
        self.told = text

    def _check_alike(self, step: int) -> None:
        """
        Raises:
            InputError: the processes do not see the same folder.
        """
        if self.accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            steps = gather_object([step])
            if len(set(steps)) > 1:
                raise InputError(
                    f"the processes find snapshots of updates {', '.join(map(str, steps))} in {self.folder.path}: "
                    "--out must be a folder that all machines share"
                )
