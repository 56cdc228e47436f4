"""Whether memory that is freed stays at hand.

glibc hands blocks back to the system once they are freed, and gets them back page by page, cleared and mapped anew:
for tensors that come and go with every step that can cost as much as computing them. Blocks beyond `LARGEST` still go
back: kept, they would leave holes that the next one does not fit, and memory would grow.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST = 32 * 2**20  # bytes of a block that is kept; glibc takes no more
OWN = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed() -> bool:
    """From here on freed memory stays with this process, for its next tensors; True where that took effect.

    Whoever has set the allocator's behaviour in the environment has decided otherwise, and is left alone.
    """
    libc = _glibc()
    if libc is None or any(name in os.environ for name in OWN):
        return False
    return bool(libc.mallopt(M_MMAP_THRESHOLD, LARGEST) and libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def return_freed() -> None:
    """Give what was freed so far back to the system, or to the accelerator's other users."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def ran_out(error: BaseException) -> bool:
    """Whether it says that there was no memory left: torch has a kind of its own for that only on accelerators."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@cache
def _glibc() -> ctypes.CDLL | None:
    """The system's allocator where it is glibc's."""
    return ctypes.CDLL("libc.so.6") if sys.platform == "linux" and platform.libc_ver()[0] == "glibc" else None
