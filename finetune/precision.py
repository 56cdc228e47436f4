"""The number format each device is fast in, and full-precision master weights where training needs them.

bfloat16 keeps 8 bits of mantissa: a product of matrices survives that, a small update added to a large weight does
not. So the model computes in bfloat16 and the optimizer keeps a float32 copy ("master") of every trained tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from finetune.errors import InputError

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


def attention_kernel(device: torch.device, dtype: torch.dtype) -> str:
    """transformers' name of the faster attention for a device and format."""
    # at these lengths torch's fused kernel is several times slower in bfloat16 on a CPU than the formula written out
    return "eager" if device.type == "cpu" and dtype == torch.bfloat16 else "sdpa"


class Masters:
    """An optimizer over float32 copies of a model's trained tensors; each step writes them back in the model's format.

    Where the model is float32 already, the copies are the model's own tensors and nothing is stored twice.
    """

    def __init__(
        self, groups: list[dict[str, Any]], build: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    ) -> None:
        self.trained: list[nn.Parameter] = [parameter for group in groups for parameter in group["params"]]
        masters = {id(parameter): _master(parameter) for parameter in self.trained}
        self.masters = [masters[id(parameter)] for parameter in self.trained]
        self._copies = [pair for pair in zip(self.trained, self.masters, strict=True) if pair[0] is not pair[1]]
        self.optimizer = build([{**group, "params": [masters[id(p)] for p in group["params"]]} for group in groups])

    @property
    def rounded(self) -> bool:
        """Whether the model computes in a coarser format than its masters."""
        return bool(self._copies)

    def collect(self) -> None:
        """Add the model's gradients to the masters': a sum of many parts would lose its small ones in bfloat16."""
        for parameter, master in self._copies:
            if parameter.grad is not None:
                exact = parameter.grad.to(master.dtype)
                master.grad = exact if master.grad is None else master.grad.add_(exact)
                parameter.grad = None

    def step(self, clip_norm: float, factor: float) -> torch.Tensor:
        """One update at `factor` of the learning rate; returns the gradient's norm before clipping."""
        self.collect()
        norm = nn.utils.clip_grad_norm_(self.masters, clip_norm, foreach=True)
        for group in self.optimizer.param_groups:
            group.setdefault("peak", group["lr"])
            group["lr"] = group["peak"] * factor
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.write_back()
        return norm

    def unrounded(self) -> None:
        """Put the masters themselves into the model: what is saved is what was trained, not its rounded copy."""
        for parameter, master in self._copies:
            parameter.data = master.data

    @torch.no_grad()
    def write_back(self) -> None:
        """Make the model's tensors the rounded copies of the masters."""
        if self._copies:
            # one call for all tensors: an optimizer's own way of writing
            torch._foreach_copy_([p.data for p, _ in self._copies], [m.data for _, m in self._copies])  # pyright: ignore


def _master(parameter: nn.Parameter) -> nn.Parameter:
    if parameter.dtype == torch.float32:
        return parameter
    return nn.Parameter(parameter.detach().to(torch.float32))
