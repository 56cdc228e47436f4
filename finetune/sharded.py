"""One model spread over processes: each keeps a share of every tensor, and the whole of a block only while it computes.

torch's `fully_shard` does it (FSDP2): weights, gradients and moments are shared out, as in stage 3 of ZeRO (Rajbhandari
and others 2020, arXiv 1910.02054), or all but the weights between the two passes of an update, its stage 2. What is
trained is kept in float32 and rounded when a block is put together, so the shares are the masters. For scores and for
saving each process has the whole model, in the format that it computes in.
"""

from __future__ import annotations

import atexit
import copy
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from finetune import zero
from finetune.errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch.distributed.device_mesh import DeviceMesh

DROPPED = ("layerdrop", "encoder_layerdrop", "decoder_layerdrop")  # of a config: a share of blocks that are left out


def rest(device: torch.device) -> torch.device:
    """Where a model waits to be trained, given where it computes: on the host, if it is to be spread."""
    return device if zero.stage() is None else torch.device("cpu")


def layout(module: nn.Module, accelerator: Accelerator) -> Layout:
    """How the processes hold a module while it is trained.

    Raises:
        InputError: it cannot be spread as the launcher asks.
    """
    return Layout(module) if zero.stage() is None else Sharded(module, accelerator)


class Learned(Protocol):
    """What training leaves: the model holds its weights, maybe rounded."""

    @property
    def unreached(self) -> list[nn.Parameter]: ...

    @property
    def bytes(self) -> tuple[int, int]: ...

    def unrounded(self) -> None: ...


class Learning(Learned, Protocol):
    """The masters of what is trained."""

    def in_full(self) -> Iterator[tuple[nn.Parameter, Tensor | None, Tensor]]: ...

    def drop(self) -> None: ...


class Layout:
    """How a process holds a model while it is trained. This one has all of it; where it has not, see `Sharded`.

    `layout(**inputs)` is the model's forward pass.
    """

    spread = False  # whether there is less of a tensor here than all of it

    def __init__(self, module: nn.Module) -> None:
        self.module = module  # that is trained

    def __call__(self, **inputs: Tensor) -> Any:
        return self.module(**inputs)

    def child(self, child: nn.Module) -> nn.Module:
        """The module in what is trained that stands for one in what was given."""
        return child

    def tables(self, rows: Mapping[nn.Parameter, Tensor]) -> Mapping[nn.Parameter, Tensor]:
        """Rows by tables of what was given, as rows by those of what is trained."""
        return rows

    def here(self, tensor: Tensor) -> Tensor:
        """What this process has of a parameter or its gradient."""
        return tensor

    def rows(self, parameter: nn.Parameter, rows: Tensor) -> Tensor:
        """Where in this process' share those of these rows stand that are in it."""
        return rows

    def gathered(self, parameter: nn.Parameter, share: Tensor, rows: Tensor | None) -> Tensor:
        """The whole of which every process gives its share; each must ask. What is no share comes back as it is.

        Args:
            rows: those of the parameter that it is about; None: all.
        """
        return share

    def share(self, parameter: nn.Parameter, whole: Tensor, rows: Tensor | None) -> Tensor:
        """What this process keeps of the whole. What does not belong to every number of a parameter is kept whole."""
        return whole

    def norm(self, norm: Tensor) -> Tensor:
        """Of all shares together, given this process' norm."""
        return norm

    def anywhere(self, found: Sequence[bool]) -> Sequence[bool]:
        """Whether any process found each."""
        return found

    @contextmanager
    def lent(self, masters: Learning) -> Iterator[None]:
        """The module that was given, as far as it is trained now, may compute scores meanwhile."""
        yield

    def learned(self, masters: Learning) -> Learned:
        """At the end of training: the module that was given has its weights, where it computes."""
        return masters


class Sharded(Layout):
    """A copy of it is spread; the module itself waits in the hosts' memory.

    Raises:
        InputError: processes would leave out blocks, each others, and a block needs a share of every one.
    """

    spread = True

    def __init__(self, module: nn.Module, accelerator: Accelerator) -> None:
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
        from torch.distributed.tensor import DTensor

        _check_whole(module)
        self.given, self.device = module, accelerator.device
        self.rank, self.world = accelerator.process_index, accelerator.num_processes
        self.names = {child: name for name, child in module.named_modules()}
        policy = MixedPrecisionPolicy(next(module.parameters()).dtype, torch.float32, cast_forward_inputs=False)
        super().__init__(copy.deepcopy(module.to("cpu")))
        for part in (*_blocks(self.module), self.module):
            for parameter in part.parameters():  # a part after the other: on the host, too, there is room for one
                if parameter.requires_grad and not isinstance(parameter, DTensor):
                    parameter.data = parameter.data.float()
            again = zero.stage() == 3 and part is not self.module
            fully_shard(part, mesh=_mesh(self.device.type), mp_policy=policy, reshard_after_forward=again)
        # that nothing changes in place what a block gives, of which torch warns, the tests of every family show
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module")

    def child(self, child: nn.Module) -> nn.Module:
        return self.module.get_submodule(self.names[child])

    def tables(self, rows: Mapping[nn.Parameter, Tensor]) -> Mapping[nn.Parameter, Tensor]:
        names = {parameter: name for name, parameter in self.given.named_parameters()}
        return {self.module.get_parameter(names[table]): each for table, each in rows.items()}

    def here(self, tensor: Tensor) -> Tensor:
        return tensor.to_local()  # pyright: ignore[reportAttributeAccessIssue]

    def rows(self, parameter: nn.Parameter, rows: Tensor) -> Tensor:
        first, end = self._span(parameter)
        return rows[(rows >= first) & (rows < end)] - first

    def gathered(self, parameter: nn.Parameter, share: Tensor, rows: Tensor | None) -> Tensor:
        from torch.distributed.tensor import DTensor

        tensor, share = cast(Any, parameter), share.detach()
        if not share.ndim:  # how many updates there were
            return share
        if rows is not None:
            whole = share.new_zeros(len(rows), *share.shape[1:])
            whole[self._places(parameter, rows)] = share
            torch.distributed.all_reduce(whole)  # a number and zeros are that number
            return whole
        size = {"shape": parameter.shape, "stride": parameter.stride()}
        return DTensor.from_local(share, tensor.device_mesh, tensor.placements, run_check=False, **size).full_tensor()

    def share(self, parameter: nn.Parameter, whole: Tensor, rows: Tensor | None) -> Tensor:
        if not whole.ndim:
            return whole
        if rows is not None:
            return whole[self._places(parameter, rows)].clone()
        first, end = self._span(parameter)
        return whole[first:end].clone()

    def _span(self, parameter: nn.Parameter) -> tuple[int, int]:
        """The first row that is here, and the first after it that is not."""
        rows, here = parameter.shape[0], len(self.here(parameter))
        first = min(rows, self.rank * math.ceil(rows / self.world))
        return first, first + here

    def _places(self, parameter: nn.Parameter, rows: Tensor) -> slice:
        """Which of these rows, in ascending order, are here."""
        first, end = self._span(parameter)
        return slice(int((rows < first).sum()), int((rows < end).sum()))

    def norm(self, norm: Tensor) -> Tensor:
        squared = norm.to(self.device) ** 2
        torch.distributed.all_reduce(squared)
        return squared.sqrt()

    def anywhere(self, found: Sequence[bool]) -> Sequence[bool]:
        flags = torch.tensor(found, dtype=torch.int32, device=self.device)
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
        return [bool(each) for each in flags.tolist()]

    @contextmanager
    def lent(self, masters: Learning) -> Iterator[None]:
        for _ in self._put_together(masters):
            pass
        self.given.to(self.device)
        try:
            yield
        finally:
            self.given.to("cpu")

    def learned(self, masters: Learning) -> Learned:
        own, names = dict(self.given.named_parameters()), self._names()
        unreached, size = [own[names[each]] for each in masters.unreached], masters.bytes
        rounded = {
            parameter: whole.cpu()
            for parameter, whole in self._put_together(masters)
            if self.rank == 0 and parameter.dtype != whole.dtype
        }
        masters.drop()  # before the whole model comes, for which there may be no room beside
        self.given.to(self.device)
        return _Gathered(unreached, size, rounded)

    def _names(self) -> dict[nn.Parameter, str]:
        return {parameter: name for name, parameter in self.module.named_parameters()}

    @torch.no_grad()
    def _put_together(self, masters: Learning) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Put what is trained into the module that was given, on the host: its parameters, and their exact numbers."""
        own, names = dict(self.given.named_parameters()), self._names()
        for parameter, rows, master in masters.in_full():
            rounded = own[names[parameter]]
            whole = master if rows is None else rounded.float().index_copy(0, rows, master.to(rounded.device))
            rounded.copy_(whole)
            yield rounded, whole
        for name, buffer in self.given.named_buffers():
            buffer.copy_(self.module.get_buffer(name))


class _Gathered:
    """Of a model that was spread: what no gradient came to, and in the first process the numbers of what is rounded."""

    def __init__(
        self, unreached: list[nn.Parameter], bytes_: tuple[int, int], full: Mapping[nn.Parameter, Tensor]
    ) -> None:
        self.unreached, self.bytes, self.full = unreached, bytes_, full

    def unrounded(self) -> None:
        for parameter, whole in self.full.items():
            parameter.data = whole  # on the host, where it is saved from
        self.full = {}


def _check_whole(module: nn.Module) -> None:
    config = getattr(module, "config", None)
    for name in DROPPED:
        if share := getattr(config, name, 0.0):
            raise InputError(
                f"{name} must be 0 in config.json where the model is spread over processes, got {share}: each would "
                "leave out other blocks, and of every block all have a share; or launch with "
                f"{zero.machines() / 'gpus.yaml'}"
            )


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """What is put together by itself: each block of the outermost lists."""
    for child in module.children():
        if isinstance(module, nn.ModuleList) and not isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield from [child] if any(True for _ in child.parameters()) else []
        else:
            yield from _blocks(child)


@cache
def _mesh(device: str) -> DeviceMesh:
    from torch.distributed.device_mesh import init_device_mesh

    atexit.register(_mesh.cache_clear)  # else its connections outlive Python's end (`peers.Others`)
    return init_device_mesh(device, (torch.distributed.get_world_size(),))
