"""One command, many processes on this machine, which are one run together.

What `accelerate launch` and `torchrun` do is done here through the same library, with two differences: processes on a
CPU work together (accelerate must be told to), and the exit code is that of the processes.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from finetune.errors import InputError

GRACE = 120  # seconds that processes which are asked to stop have for a snapshot


def launched() -> bool:
    """Whether some launcher has started this process as one of several."""
    return "RANK" in os.environ


@dataclass(frozen=True)
class Ended:
    """What became of processes that were one run."""

    code: int  # of the one that failed, as a shell has it; 0: all came to their end
    lost: tuple[str, ...] = ()  # of each that could not say so itself, what ended it


def start(count: int, arguments: Sequence[str]) -> Ended:
    """Run `finetune` with these arguments in so many processes. Where one ends early, the others are ended.

    Raises:
        InputError: there cannot be so many.
    """
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if count < 1:
        raise InputError(f"--processes must be at least 1, got {count}")
    devices = torch.cuda.device_count()
    if devices and count > devices:
        raise InputError(f"--processes must be at most the {devices} GPUs of this machine, got {count}")
    os.environ |= {} if devices else {"ACCELERATE_USE_CPU": "true"}
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # each process has said what it was
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        shutdown_timeout=GRACE,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "finetune", *arguments)
    except ChildFailedError as error:
        return _ended({rank: failure.exitcode for rank, failure in error.failures.items()}, count)
    except SignalException as error:
        return Ended(128 + int(error.sigval))
    except KeyboardInterrupt:
        return Ended(128 + signal.SIGINT)
    return Ended(0)


def _ended(codes: dict[int, int], count: int) -> Ended:
    """Who was killed comes first: that others lost a peer, or were asked to end, follows from it."""
    killed = {rank: -code for rank, code in codes.items() if code < 0}
    first = {rank: number for rank, number in killed.items() if number != signal.SIGTERM} or killed
    if not first:
        return Ended(next(iter(codes.values()), 1))
    lost = (
        f"process {rank} of {count} was ended by {signal.Signals(number).name}; the same command goes on from the last "
        "snapshot"
        for rank, number in first.items()
    )
    return Ended(128 + next(iter(first.values())), tuple(lost))


def check(count: int) -> None:
    """
    Raises:
        InputError: a launcher has started another number of processes than was asked for.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != count:
        raise InputError(f"--processes is {count}, and the launcher has started {started}; leave --processes out")
