"""What a training run is between two updates: put into a snapshot, and taken out of one again.

Everything that the next update depends on is in it: masters and moments, running statistics, the best epoch so far,
losses that were not read yet, and every process' random numbers. Which examples come next is not: that is a function of
the seed and the number of updates.

R processes, U losses that nobody has looked at yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from finetune.exchange import averages
from finetune.masters import Masters
from finetune.snapshots import Snapshot
from finetune.watch import Watch

UNREAD, BUFFER, KEPT, RANDOM = "unread/", "buffer/", "kept/", "random/"


@dataclass
class Count:
    """How far training has come."""

    step: int = 0
    examples: int = 0
    tokens: int = 0
    seconds: float = 0.0  # of updates alone
    micro_batch: int | None = None  # largest number of examples in one forward pass
    best: float | None = None  # validation score, where there is a patience
    best_epoch: int = 0

    def advance(self, examples: int, tokens: int) -> None:
        """Another update was made, of so many."""
        self.step, self.examples, self.tokens = self.step + 1, self.examples + examples, self.tokens + tokens


class State:
    """Gathers and puts back. `kept` are the masters of the best epoch, `unread` the losses since the last look.

    `norms` are the gradients' since then. A snapshot is of numbers alone, so those of before one need not be in it.
    """

    def __init__(self, module: nn.Module, masters: Masters, accelerator: Accelerator) -> None:
        self.module, self.masters, self.accelerator = module, masters, accelerator
        self.averages = averages(module)
        self.count, self.watch = Count(), Watch()
        self.unread, self.norms, self.kept = list[Tensor](), list[Tensor](), list[Tensor]()
        self.names = {id(parameter): name for name, parameter in module.named_parameters()}

    def facts(self) -> dict[str, Any]:
        return {
            "count": asdict(self.count),
            "watch": asdict(self.watch),
            "unreached": [self.names[id(each)] for each in self.masters.unreached],
            "processes": self.accelerator.num_processes,
        }

    def random(self) -> list[Tensor]:
        """What this process draws its next random numbers from: the host's state, and that of its GPU."""
        device = self.accelerator.device
        return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]

    def remembered(self) -> Callable[[], None]:
        """Puts back, when it is called, what a pass changes: random numbers, and averages that layers keep."""
        random, kept = self.random(), [each.clone() for each in self.averages]

        def put_back() -> None:
            for number, each in enumerate(random):
                self._draw_on(number == 0, number == 1, each)
            for average, before in zip(self.averages, kept, strict=True):
                average.copy_(before)

        return put_back

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every process must ask, and gets all there is: each has random numbers of its own."""
        own = [each.tolist() for each in self.random()], [float(loss) for loss in self.unread]
        return self._each(gather_object([own]))

    def _each(self, everyones: list[tuple[list[list[int]], list[float]]]) -> Iterator[tuple[str, Tensor]]:
        for rank, (random, unread) in enumerate(everyones):
            for number, state in enumerate(random):
                yield f"{RANDOM}{rank}/{number}", torch.tensor(state, dtype=torch.uint8)
            yield f"{UNREAD}{rank}", torch.tensor(unread)
        for name, buffer in self.module.named_buffers():
            yield BUFFER + name, buffer
        yield from self.masters.state(self.names)
        for number, tensor in enumerate(self.kept):
            yield f"{KEPT}{number:06d}", self.masters.gathered(number, tensor)

    def put_back(self, snapshot: Snapshot) -> None:
        """Go on from there: exactly so, where there are as many processes as there were."""
        own = self._own(snapshot)
        self.masters.put_back(self.names, own, snapshot.facts["unreached"])
        self.count, self.watch = Count(**snapshot.facts["count"]), Watch(**snapshot.facts["watch"])

    def _own(self, snapshot: Snapshot) -> Iterator[tuple[str, Tensor]]:
        """Put everything back that is not the masters'; those are given."""
        device, rank = self.accelerator.device, self.accelerator.process_index
        buffers, kept, unread_RU = dict(self.module.named_buffers()), dict[str, Tensor](), list[Tensor]()
        for name, tensor in snapshot.tensors():
            if name.startswith(RANDOM):
                self._draw_on(name == f"{RANDOM}{rank}/0", name == f"{RANDOM}{rank}/1", tensor)
            elif name.startswith(UNREAD):
                unread_RU.append(tensor)
            elif name.startswith(BUFFER):
                buffers[name.removeprefix(BUFFER)].copy_(tensor)
            elif name.startswith(KEPT):
                kept[name] = self.masters.share(int(name.removeprefix(KEPT)), tensor).to(device)
            else:
                yield name, tensor
        self.kept = [kept[name] for name in sorted(kept)]
        same = snapshot.facts["processes"] == self.accelerator.num_processes
        unread_U = unread_RU[rank] if same else torch.stack(unread_RU).mean(0)  # of all: what a look would make of them
        self.unread = list(unread_U.to(device).unbind())

    def _draw_on(self, host: bool, device: bool, state: Tensor) -> None:
        """Take a state of random numbers, if it is this process'."""
        if host:
            torch.set_rng_state(state)
        if device:
            torch.cuda.set_rng_state(state, self.accelerator.device)
