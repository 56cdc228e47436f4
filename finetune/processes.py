"""One command, many processes on this machine, which are one run together.

What `accelerate launch` and `torchrun` do is done here through the same library, with two differences: the exit code is
that of the processes, and what several of them have to say at their end is said once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.errors import InputError
from finetune.peers import LOST

GRACE = 120  # seconds that processes which are asked to stop have for a snapshot
TOGETHER = 5  # seconds; who ends later than that after the first was ended for it
ASKED = (-signal.SIGTERM, 128 + signal.SIGTERM)  # codes of those who were asked to end
WORDS = "FINETUNE_LAST_WORDS"  # the folder where processes leave what they have to say


def launched() -> bool:
    """Whether some launcher has started this process as one of several."""
    return "RANK" in os.environ


def leave(line: str) -> bool:
    """Leave this process' last line to the one that started it, which says it once for all; False: nobody takes it."""
    if WORDS not in os.environ or not launched():
        return False
    try:
        (Path(os.environ[WORDS]) / os.environ["RANK"]).write_text(line, encoding="utf-8")
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Ended:
    """What became of processes that were one run."""

    code: int  # as a shell has it; 0: all came to their end
    lines: tuple[str, ...] = ()  # what there is to say of it


@dataclass(frozen=True)
class Failure:
    """How one of them ended."""

    code: int  # below 0: the signal that ended it
    at: int = 0  # when, in seconds
    line: str = ""  # what it left to say


def start(count: int, arguments: Sequence[str]) -> Ended:
    """Run `finetune` with these arguments in so many processes. Where one ends early, the others are ended.

    Raises:
        InputError: there cannot be so many.
    """
    import torch
    from accelerate.utils import parse_flag_from_env

    if count < 1:
        raise InputError(f"--processes must be at least 1, got {count}")
    devices = 0 if parse_flag_from_env("ACCELERATE_USE_CPU") else torch.cuda.device_count()
    if devices and count > devices:
        raise InputError(
            f"--processes must be at most the {devices} GPUs of this machine, got {count}; ACCELERATE_USE_CPU=true "
            "before the command starts any number on its CPU"
        )
    os.environ |= {} if devices else {"ACCELERATE_USE_CPU": "true"}
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    with tempfile.TemporaryDirectory(prefix="finetune-") as folder:
        os.environ[WORDS] = folder
        try:
            return _start(count, arguments, Path(folder))
        finally:
            del os.environ[WORDS]


def _start(count: int, arguments: Sequence[str], folder: Path) -> Ended:
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # each process has said what it was
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        shutdown_timeout=GRACE,
        logs_specs=DefaultLogsSpecs(str(folder / "logs")),  # else they stay
    )
    try:
        elastic_launch(config, sys.executable)("-m", "finetune", *arguments)
    except ChildFailedError as error:
        fell = error.failures.items()
        return _ended({n: Failure(each.exitcode, each.timestamp, _left(folder, n)) for n, each in fell}, count)
    except SignalException as error:
        return Ended(128 + int(error.sigval), _once(_left(folder, rank) for rank in range(count)))
    except KeyboardInterrupt:
        return Ended(128 + signal.SIGINT, _once(_left(folder, rank) for rank in range(count)))
    return Ended(0)


def _left(folder: Path, rank: int) -> str:
    """What a process left to say."""
    path = folder / str(rank)
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _once(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for line in lines if line))


def _ended(failed: Mapping[int, Failure], count: int) -> Ended:
    """Why they ended: first who was killed, then who failed, then who lost another, last who was asked to end.

    What comes later here follows from what comes before: who was killed is lost to the others.
    """
    began = min(each.at for each in failed.values())
    first = {rank: each for rank, each in failed.items() if each.at - began <= TOGETHER}
    killed = {rank: each for rank, each in first.items() if each.code < 0 and each.code not in ASKED}
    if not killed:
        least = min(map(_follows, first.values()))
        first = {rank: each for rank, each in first.items() if _follows(each) == least}
    chosen = killed or first
    code = next(iter(chosen.values())).code
    return Ended(
        code if code >= 0 else 128 - code,
        _once(each.line if each.code >= 0 else _killed(rank, each, count) for rank, each in chosen.items()),
    )


def _follows(failure: Failure) -> int:
    """How likely it is that a process only ended because others did."""
    return 2 if failure.code in ASKED else 1 if failure.code == LOST else 0


def _killed(rank: int, failure: Failure, count: int) -> str:
    name = signal.Signals(-failure.code).name
    return f"process {rank} of {count} was ended by {name}; the same command goes on from the last snapshot"


def check(count: int) -> None:
    """
    Raises:
        InputError: a launcher has started another number of processes than was asked for.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != count:
        raise InputError(f"--processes is {count}, and the launcher has started {started}; leave --processes out")
