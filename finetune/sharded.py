"""One model spread over processes: each keeps a share of every tensor, and the whole of a block only while it computes.

torch's `fully_shard` does it (FSDP2): weights, gradients and moments are shared out, as in stage 3 of ZeRO (Rajbhandari
and others 2020, arXiv 1910.02054), or all but the weights between the two passes of an update, its stage 2. What is
trained is kept in float32 and rounded when a block is put together, so the shares are the masters. Where one process
has everything, and for scores, saving and snapshots, there is the model as everybody knows it.
"""

from __future__ import annotations

import copy
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from finetune.errors import InputError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

ASKED = "ACCELERATE_USE_FSDP"  # what a launcher says, in the environment
VERSION, RESHARD, OFFLOAD = "FSDP_VERSION", "FSDP_RESHARD_AFTER_FORWARD", "FSDP_OFFLOAD_PARAMS"
ON_FIRST = "FSDP_CPU_RAM_EFFICIENT_LOADING"  # has transformers read weights in the first process alone


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


def asked() -> bool:
    """Whether the launcher is to spread the model.

    Raises:
        InputError: in a way that there is not.
    """
    if os.environ.get(ASKED, "").lower() != "true":
        return False
    if (version := os.environ.get(VERSION, "1")) != "2":
        raise InputError(
            f"{VERSION} must be 2, got {version}: write fsdp_version: 2, as recipes/machines/fsdp2.yaml does"
        )
    if os.environ.get(OFFLOAD, "false").lower() == "true":
        raise InputError(f"{OFFLOAD} is true, and shares stay where they compute: write fsdp_offload_params: false")
    os.environ[ON_FIRST] = "false"
    return True


def spread(module: nn.Module, accelerator: Accelerator) -> Whole:
    """How the processes hold a module while it is trained.

    Raises:
        InputError: as `asked` does.
    """
    return Sharded(module, accelerator) if asked() and accelerator.num_processes > 1 else Whole(module)


class Whole:
    """Every process has all of it: what there is of a tensor here is all there is.

    `layout(**inputs)` is the module's forward pass.
    """

    shared = False  # whether there is less of a tensor here than all of it

    def __init__(self, module: nn.Module) -> None:
        self.module = module  # that is trained

    def __call__(self, **inputs: Tensor) -> Any:
        return self.module(**inputs)

    def child(self, child: nn.Module) -> nn.Module:
        """The module in what is trained that stands for one in what was given."""
        return child

    def here(self, tensor: Tensor) -> Tensor:
        """What this process has of a parameter or its gradient."""
        return tensor

    def reached(self, rows: Mapping[nn.Parameter, Tensor]) -> Mapping[nn.Parameter, Tensor]:
        """Of a table in what is trained the rows that training looks up, given those of what was given."""
        return rows

    def rows(self, parameter: nn.Parameter, rows: Tensor) -> Tensor:
        """Which of these rows, in order, are here, and as the how manieth."""
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
        """At the end of training: the module that was given has its weights."""
        return masters


class Sharded(Whole):
    """A copy of it is spread; the module itself waits in the hosts' memory."""

    shared = True

    def __init__(self, module: nn.Module, accelerator: Accelerator) -> None:
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        self.given, self.device = module, accelerator.device
        self.rank, self.world = accelerator.process_index, accelerator.num_processes
        self.places = {id(child): name for name, child in module.named_modules()}
        dtype = next(module.parameters()).dtype
        spread = copy.deepcopy(module.to("cpu"))
        for parameter in spread.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        policy = MixedPrecisionPolicy(dtype, torch.float32, cast_forward_inputs=False)
        again = os.environ.get(RESHARD, "true").lower() == "true"
        for part in (*_blocks(spread), spread):
            fully_shard(
                part, mesh=_mesh(self.device.type), mp_policy=policy, reshard_after_forward=again and part is not spread
            )
        super().__init__(spread)

    def __call__(self, **inputs: Tensor) -> Any:
        with warnings.catch_warnings():  # nothing is changed in place, of which torch warns
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module")
            return self.module(**inputs)

    def child(self, child: nn.Module) -> nn.Module:
        return self.module.get_submodule(self.places[id(child)])

    def here(self, tensor: Tensor) -> Tensor:
        return tensor.to_local()  # pyright: ignore[reportAttributeAccessIssue]

    def reached(self, rows: Mapping[nn.Parameter, Tensor]) -> Mapping[nn.Parameter, Tensor]:
        names = {id(parameter): name for name, parameter in self.given.named_parameters()}
        return {self.module.get_parameter(names[id(parameter)]): each for parameter, each in rows.items()}

    def rows(self, parameter: nn.Parameter, rows: Tensor) -> Tensor:
        first, end = self._span(parameter)
        return rows[(rows >= first) & (rows < end)] - first

    def gathered(self, parameter: nn.Parameter, share: Tensor, rows: Tensor | None) -> Tensor:
        from torch.distributed.tensor import DTensor

        spread: Any = parameter
        if not share.ndim:  # how many updates there were
            return share
        if rows is not None:
            whole = share.new_zeros(len(rows), *share.shape[1:])
            whole[self._places(parameter, rows)] = share
            torch.distributed.all_reduce(whole)  # a number and zeros are that number
            return whole
        layout = {"shape": parameter.shape, "stride": parameter.stride()}
        return DTensor.from_local(share, spread.device_mesh, spread.placements, run_check=False, **layout).full_tensor()

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
        """Which of these rows, in order, are here."""
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
        self._put_together(masters)
        try:
            yield
        finally:
            self.given.to("cpu")

    def learned(self, masters: Learning) -> Learned:
        own, names = dict(self.given.named_parameters()), self._names()
        unreached = [own[names[id(each)]] for each in masters.unreached]
        return _Gathered(unreached, masters.bytes, self._put_together(masters))

    def _names(self) -> dict[int, str]:
        return {id(parameter): name for name, parameter in self.module.named_parameters()}

    @torch.no_grad()
    def _put_together(self, masters: Learning) -> dict[nn.Parameter, Tensor]:
        """Put what is trained into the module that was given.

        Returns:
            In the first process: what is rounded there, in full and in the host's memory.
        """
        self.given.to(self.device)
        own, names, full = dict(self.given.named_parameters()), self._names(), dict[nn.Parameter, Tensor]()
        for parameter, rows, master in masters.in_full():
            rounded = own[names[id(parameter)]]
            whole = master if rows is None else rounded.float().index_copy(0, rows.to(self.device), master)
            rounded.copy_(whole)
            if self.rank == 0 and rounded.dtype != whole.dtype:
                full[rounded] = whole.cpu()
        for name, buffer in self.given.named_buffers():
            buffer.copy_(self.module.get_buffer(name))
        return full


class _Gathered:
    """Of a model that was spread: what no gradient came to, and the numbers of what is rounded in it."""

    def __init__(
        self, unreached: list[nn.Parameter], bytes_: tuple[int, int], full: Mapping[nn.Parameter, Tensor]
    ) -> None:
        self.unreached, self.bytes, self.full = unreached, bytes_, full

    def unrounded(self) -> None:
        for parameter, whole in self.full.items():
            parameter.data = whole.to(parameter.device)
        self.full = {}


def _blocks(module: nn.Module) -> list[nn.Module]:
    """What is put together by itself, inner ones first: each block of a list of blocks."""
    lists = [each for each in module.modules() if isinstance(each, nn.ModuleList)]
    return [block for each in reversed(lists) for block in each if any(True for _ in block.parameters())]


@cache
def _mesh(device: str) -> DeviceMesh:
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh(device, (torch.distributed.get_world_size(),))
