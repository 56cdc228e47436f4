"""The number format each device is fast in, and how much of it goes through a model at a time."""

from __future__ import annotations

from typing import Literal, TypeVar

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


def tokens_per_piece(device: torch.device) -> int | None:
    """The most tokens that go forward and back together; None: as many as there are in a batch.

    On a CPU what a layer leaves for the next then stays in its caches, and what is kept for the way back stays small.
    """
    return 2304 if device.type == "cpu" else None
