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

from finetune.errors import InputError

GRACE = 120  # seconds that processes which are asked to stop have for a snapshot


def launched() -> bool:
    """Whether some launcher has started this process as one of several."""
    return "RANK" in os.environ


def start(count: int, arguments: Sequence[str]) -> int:
    """Run `finetune` with these arguments in so many processes; returns the exit code of the first that failed, or 0.

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
        codes = [failure.exitcode for failure in error.failures.values()]
        return next((code if code > 0 else 128 - code for code in codes if code), 1)
    except SignalException as error:
        return 128 + int(error.sigval)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def check(count: int) -> None:
    """
    Raises:
        InputError: a launcher has started another number of processes than was asked for.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != count:
        raise InputError(f"--processes is {count}, and the launcher has started {started}; leave --processes out")
