"""The number format each device is fast in, and full-precision master weights where training needs them.

bfloat16 keeps 8 bits of mantissa: a product of matrices survives that, a small update added to a large weight does
not. So the model computes in bfloat16 and the optimizer keeps a float32 copy ("master") of every trained tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from finetune.errors import InputError

PORTION = 2**20  # numbers that the optimizer works on together
Format = Literal["auto", "float32", "bfloat16"]


def resolve(wanted: Format, device: torch.device) -> torch.dtype:
    """The format to compute in. `auto` is bfloat16 where the device multiplies it natively, else float32."""
    match wanted:
        case "float32":
            return torch.float32
        case "bfloat16":
            return torch.bfloat16
        case "auto":
            return torch.bfloat16 if _fast_bfloat16(device) else torch.float32
    raise InputError(f"precision must be auto, float32 or bfloat16, got {wanted!r}")


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capable = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    # other CPUs emulate it, several times slower than float32
    return bool(capable.get("avx512_bf16") or capable.get("amx_bf16"))


Module = TypeVar("Module", bound=nn.Module)


def cast(module: Module, device: torch.device, dtype: torch.dtype) -> Module:
    """Put a module on a device and its parameters into a format, in place.

    Its buffers keep theirs: rotary positions turn a query by position times frequency, and a frequency rounded to
    bfloat16 is up to 0.4 % off.
    """
    module.to(device)
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)
    return module


def tokens_per_pass(device: torch.device) -> int:
    """Tokens of one forward pass without gradient: enough to fill the device, on a CPU few enough for its caches."""
    return 4096 if device.type == "cpu" else 65536


def tokens_per_piece(device: torch.device) -> int | None:
    """About how many tokens go forward and back together; None: as many as there are in a batch.

    On a CPU what a layer leaves for the next then stays in its caches, and what is kept for the way back stays small.
    """
    return 1536 if device.type == "cpu" else None


class Masters:
    """An optimizer over float32 copies of a model's trained tensors; each step writes them back in the model's format.

    Where the model is float32 already, the copies are the model's own tensors and nothing is stored twice.

    A step goes from one portion of the tensors to the next: gradient, master, both moments and the rounded copy of a
    portion are in the processor's cache together, and only a portion's gradients are ever there in float32.
    """

    def __init__(
        self, groups: list[dict[str, Any]], build: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    ) -> None:
        self._portions = [_Portion(each, build) for group in groups for each in _portions(group)]
        self._pairs = [pair for portion in self._portions for pair in portion.pairs]

    @property
    def masters(self) -> list[nn.Parameter]:
        return [master for _, master in self._pairs]

    @property
    def rounded(self) -> bool:
        """Whether the model computes in a coarser format than its masters."""
        return any(parameter is not master for parameter, master in self._pairs)

    def collect(self) -> None:
        """Add the model's gradients to the masters': a sum of many parts would lose its small ones in bfloat16."""
        for parameter, master in self._pairs:
            if parameter is not master and parameter.grad is not None:
                exact = parameter.grad.to(master.dtype)
                master.grad = exact if master.grad is None else master.grad.add_(exact)
                parameter.grad = None

    def step(self, clip_norm: float, factor: float) -> torch.Tensor:
        """One update at `factor` of the learning rate; returns the gradient's norm before clipping."""
        if any(master.grad is not None for parameter, master in self._pairs if parameter is not master):
            self.collect()  # of the last piece
        gradients = [parameter.grad if master.grad is None else master.grad for parameter, master in self._pairs]
        norms = [torch.linalg.vector_norm(each, dtype=torch.float32) for each in gradients if each is not None]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        divisor = (norm / clip_norm).clamp(min=1.0)
        for portion in self._portions:
            portion.step(divisor, factor)
        return norm

    def unrounded(self) -> None:
        """Put the masters themselves into the model: what is saved is what was trained, not its rounded copy."""
        for parameter, master in self._pairs:
            parameter.data = master.data

    def write_back(self) -> None:
        """Make the model's tensors the rounded copies of the masters."""
        for portion in self._portions:
            portion.write_back()


class _Portion:
    """Some trained tensors, their masters, and an optimizer of their own."""

    def __init__(self, group: dict[str, Any], build: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]) -> None:
        self.pairs = [(parameter, _master(parameter)) for parameter in group["params"]]
        self.optimizer = build([{**group, "params": [master for _, master in self.pairs]}])
        self.peaks = [each["lr"] for each in self.optimizer.param_groups]

    def step(self, divisor: torch.Tensor, factor: float) -> None:
        for parameter, master in self.pairs:
            if parameter is not master and parameter.grad is not None:
                master.grad, parameter.grad = parameter.grad.to(master.dtype), None
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        self.optimizer.grad_scale = divisor  # the fused step divides by it as it goes  # pyright: ignore
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.write_back()

    @torch.no_grad()
    def write_back(self) -> None:
        for parameter, master in self.pairs:
            if parameter is not master:
                parameter.copy_(master)


def _portions(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A group of parameters cut into groups of at most `PORTION` numbers, but for tensors that have more."""
    found: list[nn.Parameter] = []
    for parameter in group["params"]:
        if found and sum(each.numel() for each in found) + parameter.numel() > PORTION:
            yield {**group, "params": found}
            found = []
        found.append(parameter)
    yield {**group, "params": found}


def _master(parameter: nn.Parameter) -> nn.Parameter:
    if parameter.dtype == torch.float32:
        return parameter
    return nn.Parameter(parameter.detach().to(torch.float32))
