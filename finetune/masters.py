"""Full-precision master weights, and the step from gradients to them.

bfloat16 keeps 8 bits of mantissa: a product of matrices survives that, a small update added to a large weight does
not. So the model computes in bfloat16 and the optimizer keeps a float32 copy ("master") of every trained tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.utils.hooks import RemovableHandle

from finetune.sharded import Layout

PORTION = 2**20  # numbers that the optimizer works on together on a CPU
MASTER = "master/"


class Masters:
    """An optimizer over float32 copies of a model's trained tensors; each step writes them back in the model's format.

    Where the model is float32 already, the copies are the model's own tensors and nothing is stored twice.

    On a CPU a step goes from one portion of the tensors to the next: gradient, master, both moments and the rounded
    copy of a portion are in the processor's cache together. On a GPU, which waits for the host to name the next piece
    of work, it does the same to all of them at once.

    Args:
        reached: of a table, the rows that training looks up. The others get no gradient and stay as they are; there
            are no moments of them.
        layout: what of each tensor is in this process; None: all.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        build: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        reached: Mapping[nn.Parameter, Tensor] | None = None,
        layout: Layout | None = None,
    ) -> None:
        rows, self._layout = reached or {}, layout or Layout(nn.Identity())
        trained = [
            {**group, "params": [_Trained(each, rows.get(each), self._layout) for each in group["params"]]}
            for group in groups
        ]
        self._portions = [_Portion(each, build) for group in trained for each in _portions(group)]
        self._trained = [each for portion in self._portions for each in portion.trained]
        self._hooks: list[RemovableHandle] = []

    @property
    def masters(self) -> list[nn.Parameter]:
        return [each.master for each in self._trained]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What they are the masters of, in the model."""
        return [each.parameter for each in self._trained]

    @property
    def bytes(self) -> tuple[int, int]:
        """Of the gradients; and of the optimizer: moments, and masters that are not the model's own tensors."""
        gradients = sum(each.sum.nbytes for each in self._trained if each.sum is not None)
        states = [state for portion in self._portions for state in portion.optimizer.state.values()]
        moments = sum(each.nbytes for state in states for each in state.values() if isinstance(each, Tensor))
        copies = [each.master.nbytes for each in self._trained if each.rounded or each.rows is not None]
        tables = [each.whole.nbytes for each in self._trained if each.rows is not None and each.rounded]
        return gradients, moments + sum(copies) + sum(tables)

    @property
    def unreached(self) -> list[nn.Parameter]:
        """The model's tensors that no gradient came to, or a gradient of zeros, in the last update.

        Where the model is spread over processes, each must ask.
        """
        reached = self._layout.anywhere([each.reached for each in self._trained])
        return [each.parameter for each, came in zip(self._trained, reached, strict=True) if not came]

    @property
    def rounded(self) -> bool:
        """Whether the model computes in a coarser format than its masters."""
        return any(each.rounded for each in self._trained)

    def collect(self) -> None:
        """Add the model's gradients to the masters': a sum of many parts would lose its small ones in bfloat16."""
        for each in self._trained:
            each.collect()

    def collect_at_once(self, came: Callable[[int], None] = lambda _: None) -> None:
        """From here on collect every gradient as soon as it is there, so that no two are there together.

        Args:
            came: is then told the tensor's number.
        """

        def hook(number: int, _: Tensor) -> None:
            self._trained[number].collect()
            came(number)

        self._hooks = [
            each.parameter.register_post_accumulate_grad_hook(partial(hook, number))
            for number, each in enumerate(self._trained)
        ]

    def found(self, numbers: Iterable[int]) -> Tensor:
        """(P,) the gradients of some tensors, one after the other; zeros where nothing came to one."""
        return torch.cat([self._trained[number].found.flatten() for number in numbers])

    def take(self, numbers: Sequence[int], gradients_P: Tensor) -> None:
        """Put others in the place of what `found` gave."""
        sizes = [self._trained[number].master.numel() for number in numbers]
        for number, part in zip(numbers, gradients_P.split(sizes), strict=True):
            own = self._trained[number].found
            own.copy_(part.view_as(own))

    def forget(self) -> None:
        """Drop the gradients of an update that was not finished."""
        for each in self._trained:
            each.parameter.grad, each.parts = None, 0

    @torch.no_grad()
    def state(self, names: Mapping[int, str]) -> Iterator[tuple[str, Tensor]]:
        """Masters and moments in full, as what the model's tensors are called by their `id`; every process must ask."""
        for portion in self._portions:
            for each in portion.trained:
                name = names[id(each.parameter)]
                yield f"{MASTER}{name}", each.gathered(each.master)
                for key, value in portion.optimizer.state[each.master].items():
                    yield f"{key}/{name}", each.gathered(value)

    @torch.no_grad()
    def put_back(
        self, names: Mapping[int, str], state: Iterable[tuple[str, Tensor]], unreached: Collection[str]
    ) -> None:
        """Be as when `state` was asked.

        Args:
            unreached: what the tensors were called that `unreached` gave then.
        """
        where = {names[id(each.parameter)]: (portion, each) for portion in self._portions for each in portion.trained}
        for whole, tensor in state:
            key, _, name = whole.partition("/")
            portion, each = where[name]
            own = each.share(tensor)
            if whole.startswith(MASTER):
                each.master.copy_(own)
            else:
                portion.optimizer.state[each.master][key] = own.to(each.master.device)
        for name, (_, each) in where.items():
            each.reached_before = name not in unreached
        self.write_back()

    def gathered(self, number: int, share: Tensor) -> Tensor:
        """All of which a process has a share, of a tensor by its number; every process must ask."""
        return self._trained[number].gathered(share)

    def share(self, number: int, whole: Tensor) -> Tensor:
        """What this process has of it."""
        return self._trained[number].share(whole)

    @torch.no_grad()
    def in_full(self) -> Iterator[tuple[nn.Parameter, Tensor | None, Tensor]]:
        """Each of the model's tensors, the rows of it that are trained (None: all), and its master; every process must
        ask.
        """
        for each in self._trained:
            yield each.parameter, each.every_row, each.gathered(each.master)

    def let_go(self) -> None:
        """Take no more gradients: whoever trains the model next wants them."""
        for hook in self._hooks:
            hook.remove()

    def step(self, clip_norm: float, factor: float) -> Tensor:
        """One update at `factor` of the learning rate; returns the gradient's norm before clipping."""
        gradients = [each.gradient() for each in self._trained]
        norm = self._layout.norm(get_total_norm([each for each in gradients if each is not None]))
        divisor = (norm / clip_norm).clamp(min=1.0)
        for portion in self._portions:
            portion.step(divisor, factor)
        return norm

    def unrounded(self) -> None:
        """Put the masters themselves into the model, for good: saved is what was trained, not its rounded copy."""
        for each in self._trained:
            each.unround()
        self.drop()

    def drop(self) -> None:
        """Forget all: gradients and moments are what needs most memory."""
        self._portions, self._trained = [], []

    def write_back(self) -> None:
        """Make the model's tensors the rounded copies of the masters."""
        for portion in self._portions:
            portion.write_back()


class _Trained:
    """A tensor of the model, its master, and the sum of the gradients of the parts of a batch."""

    def __init__(self, parameter: nn.Parameter, rows: Tensor | None, layout: Layout) -> None:
        self.parameter, self.layout, self.every_row = parameter, layout, rows
        # of those, where the ones that are here stand in what is here
        self.rows = None if rows is None else layout.rows(parameter, rows).to(parameter.device)
        self.own = layout.here(parameter.detach())
        self.whole = self.own.to(torch.float32)  # itself, where it is that already
        self.master = nn.Parameter(self.whole if self.rows is None else self.whole[self.rows])
        self.sum: Tensor | None = None  # kept from update to update: large blocks that come and go leave holes
        self.parts = 0
        self.reached_before = False  # in the last update before training was interrupted

    @property
    def reached(self) -> bool:
        """Whether a gradient other than zeros came to it in the last update."""
        return self.reached_before if self.sum is None else bool(self.sum.any())

    @property
    def found(self) -> Tensor:
        """The sum so far, to be read and written: zeros where there is none."""
        if self.sum is None:
            self.sum = torch.zeros_like(self.master, requires_grad=False)
        elif not self.parts:
            self.sum.zero_()
        return self.sum

    @property
    def rounded(self) -> bool:
        return self.parameter.dtype != self.master.dtype

    def gathered(self, share: Tensor) -> Tensor:
        return self.layout.gathered(self.parameter, share, self.every_row)

    def share(self, whole: Tensor) -> Tensor:
        return self.layout.share(self.parameter, whole, self.every_row)

    def collect(self) -> None:
        came, self.parameter.grad = self.parameter.grad, None
        if came is None:
            return
        came = self.layout.here(came)
        if self.rows is not None:
            came = came.index_select(0, self.rows)
        if self.sum is None:
            self.sum = came.to(torch.float32)
        elif self.parts:
            self.sum.add_(came)
        else:
            self.sum.copy_(came)
        self.parts += 1

    def gradient(self) -> Tensor | None:
        """Of the whole batch; None where nothing reached the tensor."""
        self.collect()  # of the last part
        return self.sum if self.parts else None

    def give(self) -> None:
        """Hand the gradient over to the master."""
        self.master.grad, self.parts = self.gradient(), 0

    @torch.no_grad()
    def write_back_rows(self) -> None:
        """Round what of a table was trained."""
        self.own.index_copy_(0, self.rows, self.master.to(self.own.dtype))  # pyright: ignore

    @torch.no_grad()
    def unround(self) -> None:
        if self.rows is not None:
            self.whole.index_copy_(0, self.rows, self.master)
            self.parameter.data = self.whole
        else:
            self.parameter.data = self.master.data


class _Portion:
    """Some trained tensors, and an optimizer of their own."""

    def __init__(self, group: dict[str, Any], build: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]) -> None:
        self.trained: list[_Trained] = group["params"]
        self.optimizer = build([{**group, "params": [each.master for each in self.trained]}])
        self.peaks = [each["lr"] for each in self.optimizer.param_groups]

    def step(self, divisor: Tensor, factor: float) -> None:
        for each in self.trained:
            each.give()
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        self.optimizer.grad_scale = divisor  # the fused step divides by it as it goes  # pyright: ignore
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.write_back()

    @torch.no_grad()
    def write_back(self) -> None:
        whole = [each for each in self.trained if each.rows is None and each.rounded]
        if whole:
            # one piece of work for a GPU, not one for each tensor
            torch._foreach_copy_([each.parameter for each in whole], [each.master for each in whole])  # pyright: ignore
        for each in self.trained:
            if each.rows is not None:
                each.write_back_rows()


def _portions(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A group of trained tensors cut into groups of at most `PORTION` numbers, but for tensors that have more."""
    found: list[_Trained] = []
    most = PORTION if group["params"][0].parameter.device.type == "cpu" else math.inf
    for each in group["params"]:
        if found and sum(other.master.numel() for other in found) + each.master.numel() > most:
            yield {**group, "params": found}
            found = []
        found.append(each)
    yield {**group, "params": found}
