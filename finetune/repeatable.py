"""The same numbers again on a GPU: while a run computes, no kernel is used that adds in whatever order it comes to.

Such kernels make every run another one: a run that is killed and goes on could not end with the bytes of one that was
not, and two equal runs would differ by more than a method does.

N images, C channels, H × W before and h × w after.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from finetune.errors import InputError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # cuBLAS adds in one order only where its workspace is of a fixed size
FIXED = (":4096:8", ":16:8")
# torch looks at it once, at the first product on a GPU, which may be before any run of ours
os.environ.setdefault(WORKSPACE, FIXED[0])


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """What is computed on a GPU meanwhile comes to the same bits each time; afterwards torch is set as it was.

    What a layer has no such kernel for raises a RuntimeError that names it, and changes no number quietly.

    Raises:
        InputError: the environment has cuBLAS add in any order.
    """
    if device.type != "cuda":
        yield
        return
    if (given := os.environ.get(WORKSPACE)) not in FIXED:
        raise InputError(f"{WORKSPACE} must be {' or '.join(FIXED)}, else a GPU adds in any order; got {given!r}")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filling: Any = torch.utils.deterministic
    fills = filling.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    filling.fill_uninitialized_memory = False  # nothing here reads what it has not written
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        filling.fill_uninitialized_memory = fills


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """`repeatable`, and afterwards the caller's random numbers go on as if nothing had happened."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []), repeatable(device):
        yield


def replace(model: nn.Module) -> None:
    """Interpolate positions by products of matrices, in place: torch's way has no such kernel for its gradient."""
    for module in model.modules():
        own = getattr(module, "interpolate_pos_encoding", None)
        if callable(own):
            module.interpolate_pos_encoding = partial(_by_matrices, own)  # pyright: ignore


def _by_matrices(interpolate: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    with _Bicubic():
        return interpolate(*args, **kwargs)


class _Bicubic(TorchFunctionMode):
    """Takes the place of `F.interpolate` where that is bicubic and to a size."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func is F.interpolate and given.get("mode") == "bicubic" and given.get("size") is not None:
            how = {name: given[name] for name in ("align_corners", "antialias") if name in given}
            return bicubic(*args, size=given["size"], **how)
        return func(*args, **given)


def bicubic(
    images_NCHW: Tensor, *, size: int | tuple[int, int], align_corners: bool | None = None, antialias: bool = False
) -> Tensor:
    """`F.interpolate` of images to a size (N, C, h, w): it is linear, and the same for every row and every column."""
    exact_NCHW = images_NCHW.to(torch.promote_types(images_NCHW.dtype, torch.float32))
    along = partial(_along, like=exact_NCHW, align_corners=align_corners, antialias=antialias)
    height, width = (size, size) if isinstance(size, int) else map(int, size)
    down_hH, across_wW = along(exact_NCHW.shape[2], height), along(exact_NCHW.shape[3], width)
    return (down_hH @ exact_NCHW @ across_wW.mT).to(images_NCHW.dtype)


def _along(before: int, after: int, like: Tensor, align_corners: bool | None, antialias: bool) -> Tensor:
    """What each of so many numbers has of those before (after, before): where each unit vector comes to."""
    unit_11HH = torch.eye(before, dtype=like.dtype, device=like.device)[None, None]
    made_11hH = F.interpolate(
        unit_11HH, size=(after, before), mode="bicubic", align_corners=align_corners, antialias=antialias
    )
    return made_11hH[0, 0]
