"""What processes that train together tell each other: the mean of their gradients, and the most that any of them wants.

Gradients go in portions, those of the last tensors first, as a backward pass comes to them, while the rest is still
computed. Every process sends the same portions in the same order whatever became of its own pass: one whose memory ran
out sends what it has and keeps nobody waiting, and then all hear of it and forget that pass together.

P numbers in a portion.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from finetune.masters import Masters
from finetune.peers import TIMEOUT

PORTION = 2**22  # numbers sent together, about: few enough to be under way early, enough to be worth a message
Found = TypeVar("Found")
OUT_OF_MEMORY = 128  # what a process wants that ran out: the update anew. Greater than the number of any signal


def alike(module: nn.Module, accelerator: Accelerator) -> None:
    """Give every process the weights that the first one has of what is trained."""
    if accelerator.num_processes > 1:
        for parameter in module.parameters():
            if parameter.requires_grad:
                _from_first(parameter.detach(), accelerator.device)


def of_first(find: Callable[[], Found], accelerator: Accelerator) -> Found:
    """What the first process finds, in every one: what others see of a shared folder may be a minute old.

    Raises:
        Exception: whatever the first one met, in every one, or the others would wait for what never comes.
    """
    found: list[Any] = [None, None]
    if accelerator.is_main_process:
        try:
            found[0] = find()
        except Exception as error:
            found[1] = error
    broadcast_object_list(found)
    if found[1] is not None:
        raise found[1]
    return found[0]


class Exchange:
    """Of one training. A process that is alone sends nothing, and nor does one of a model that is spread over them: the
    passes of that have told each what it needs.
    """

    def __init__(self, module: nn.Module, masters: Masters, accelerator: Accelerator, *, spread: bool = False) -> None:
        self.masters, self.world = masters, accelerator.num_processes
        sizes = [each.numel() for each in masters.masters]
        self._portions = [] if spread else list(_portions(_backwards(module, masters), sizes))
        self._where = {number: place for place, portion in enumerate(self._portions) for number in portion}
        self._missing: list[int] = []  # of each portion, the tensors that the pass has not come to; empty: not the last
        self._sent: list[tuple[torch.distributed.Work, Tensor]] = []
        self._hosts = None if self.world == 1 else _hosts(accelerator.device.type)
        self._averages = [] if self.world == 1 else averages(module)
        masters.collect_at_once(self._came)

    def last(self) -> None:
        """The pass that begins is the last of an update: what it comes to can be sent."""
        self._missing = [] if self.world == 1 else [len(portion) for portion in self._portions]

    def close(self) -> None:
        """Send what is left. Then every gradient is the mean over all processes, if all came to the end of their pass.

        Averages that layers keep are those of the first process.
        """
        if self.world == 1:
            return
        while len(self._sent) < len(self._portions):
            self._send()
        for (work, mean_P), portion in zip(self._sent, self._portions, strict=True):
            work.wait()
            self.masters.take(portion, mean_P)
        for average in self._averages:
            _from_first(average, average.device)
        self._missing, self._sent = [], []

    def greatest(self, wanted: int) -> int:
        """The most that any process wants. Only hosts are asked: no accelerator has to be waited for."""
        if self.world == 1:
            return wanted
        said = torch.tensor(wanted)
        torch.distributed.all_reduce(said, torch.distributed.ReduceOp.MAX, group=self._hosts)
        return int(said)

    def _came(self, number: int) -> None:
        """The gradient of a tensor was collected."""
        if self._missing:
            self._missing[self._where[number]] -= 1
            while len(self._sent) < len(self._missing) and not self._missing[len(self._sent)]:
                self._send()

    def _send(self) -> None:
        mean_P = self.masters.found(self._portions[len(self._sent)]).div_(self.world)
        work = torch.distributed.all_reduce(mean_P, async_op=True)
        assert work is not None
        self._sent.append((work, mean_P))


def _backwards(module: nn.Module, masters: Masters) -> list[int]:
    """The numbers of what is trained, from the module's last tensor to its first: about as a pass comes to them."""
    place = {id(parameter): place for place, parameter in enumerate(module.parameters())}
    parameters = masters.parameters
    return sorted(range(len(parameters)), key=lambda number: place[id(parameters[number])], reverse=True)


def _portions(numbers: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """The numbers of tensors, in lists of those that have about `PORTION` numbers together."""
    portion: list[int] = []
    for number in numbers:
        portion.append(number)
        if sum(sizes[each] for each in portion) >= PORTION:
            yield portion
            portion = []
    if portion:
        yield portion


def averages(module: nn.Module) -> list[Tensor]:
    """What layers keep beside their weights and is saved, such as batch norm's averages."""
    saved = set(module.state_dict())
    return [each for name, each in module.named_buffers() if name in saved and each.is_floating_point()]


@torch.no_grad()
def _from_first(tensor: Tensor, device: torch.device) -> None:
    """Make a tensor what the first process has; what is told is on the device."""
    whole = tensor.to(device).contiguous()
    torch.distributed.broadcast(whole, 0)
    tensor.copy_(whole)


@cache
def _hosts(device: str) -> torch.distributed.ProcessGroup | None:
    """All processes, as their hosts hear of each other; None: as they do anyway, where the hosts do the computing."""
    if device == "cpu":
        return None
    group = torch.distributed.new_group(backend="gloo", timeout=TIMEOUT)
    assert isinstance(group, torch.distributed.ProcessGroup)
    atexit.register(_part_hosts, device)
    return group


def _part_hosts(device: str) -> None:
    """End their connections, whose threads must not outlive Python (`peers.Others`)."""
    group = _hosts(device)
    _hosts.cache_clear()
    if group is not None and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group(group)
