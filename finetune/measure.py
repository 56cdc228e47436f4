"""What a run cost, and where it ran."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch

if TYPE_CHECKING:
    from accelerate import Accelerator

from finetune import allocator, zero

PACKAGES = ("torch", "transformers", "datasets", "evaluate", "accelerate", "peft", "scikit-learn", "numpy")


class Clock:
    """Seconds by name, each name's stretches added up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


class PeakMemory:
    """The most memory in use while it is open: of the GPU where there is one, else resident in this process.

    A process' own high-water mark never falls, so runs that share a process are sampled instead, twenty times a second.
    """

    def __init__(self, device: torch.device, *, first: bool = True) -> None:
        """
        Args:
            first: whether earlier runs may have left garbage; to look for it takes a third of a second.
        """
        self.device, self.bytes, self.first = device, 0, first
        self._process, self._over = psutil.Process(), threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        if self.first:
            gc.collect()
        allocator.return_freed()  # what earlier runs freed must not count against this one
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device)
        else:
            self._over.set()
            self._sampler.join()

    def _sample(self) -> None:
        while True:
            self.bytes = max(self.bytes, self._process.memory_info().rss)
            if self._over.wait(0.05):
                return


class Waiting:
    """Which share of the time that they could have run this process' threads waited for a core that others had.

    None where the system does not tell, which Linux does (`/proc/PID/schedstat`).
    """

    def __init__(self) -> None:
        self.before = _scheduled()

    @property
    def share(self) -> float | None:
        now = _scheduled()
        if now is None or self.before is None:
            return None
        # a thread that has ended takes what it had run with it
        ran, waited = (max(0, after - before) for after, before in zip(now, self.before, strict=True))
        return waited / max(1, ran + waited)


def _scheduled() -> tuple[int, int] | None:
    """Nanoseconds that the threads there are have run, and have waited to."""
    lines = [line.split() for path in Path("/proc/self/task").glob("*/schedstat") for line in _lines(str(path))]
    return (sum(int(line[0]) for line in lines), sum(int(line[1]) for line in lines)) if lines else None


def environment(accelerator: Accelerator, waiting: Waiting | None = None) -> dict[str, Any]:
    """What a number, or the time it took, may depend on besides the recipe."""
    device = accelerator.device
    return {
        "versions": {package: version(package) for package in PACKAGES} | {"python": platform.python_version()},
        "git_commit": _git_commit(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({processor()})",
        "processes": accelerator.num_processes,
        "zero_stage": zero.stage(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "waited": None if waiting is None else waiting.share,
    }


def processor() -> str:
    """The model of this machine's processor; where the system does not say, its architecture."""
    named = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []


def _git_commit() -> str | None:
    """The commit this code is at, with a plus where files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(here), "status", "--porcelain", "--", str(here)],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+" if changed else commit
