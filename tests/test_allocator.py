"""Freed memory stays at hand where that is wanted, and only there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from finetune import allocator

pytestmark = pytest.mark.skipif(allocator._glibc() is None, reason="another allocator than glibc's")

FAULTS = """
import resource, torch
from finetune import allocator
print(allocator.keep_freed() if {keep} else None)
def touch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(2**20) for _ in range(64)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
touch()
print(sum(touch() for _ in range(3)))
"""


def run(keep: bool, **environment: str) -> list[str]:
    code, environment = FAULTS.format(keep=keep), os.environ | environment
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.split()


def test_tensors_like_those_that_were_freed_fault_hardly_a_page_in() -> None:
    (_, found), (took, kept) = run(False), run(True)
    assert took == "True"
    assert 4 * int(kept) < int(found)  # not none: a small block may lie where a large one was


def test_whoever_has_set_the_allocator_is_left_alone() -> None:
    assert run(True, MALLOC_TOP_PAD_="0")[0] == "False"


def test_what_is_returned_is_no_longer_resident() -> None:
    import psutil
    import torch

    kept = [torch.ones(1000) for _ in range(20_000)]
    with_it = psutil.Process().memory_info().rss
    del kept
    allocator.return_freed()
    assert psutil.Process().memory_info().rss < with_it - 40e6
