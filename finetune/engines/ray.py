"""A Ray cluster, or one started on this machine for the grid: a task a run, on the cores and GPUs that are there."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from finetune import remote
from finetune.engines import AGAIN, Cluster
from finetune.errors import InputError
from finetune.progress import Silent

# variables that say where things are: a worker of a cluster that was started elsewhere does not know ours
OURS = ("FINETUNE_CACHE", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT")
STORE = 100 * 2**20  # bytes for objects of a cluster that is started here: ours are lines of text
KNOCKS = 10.0  # seconds until an address counts as silent
LOOKS = 1.0  # seconds of waiting after which signals are looked for


class Machine(NamedTuple):
    """What a machine of a cluster has."""

    cpus: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class Ray(Cluster):
    """Ray starts a run whose process or machine was lost once more, elsewhere if need be.

    Without a number of its own a run gets a GPU where machines have some, and as many cores as let all runs go on at
    once; where there are more runs than cores, one.
    """

    library: ClassVar[str] = "ray"
    place: ClassVar[str | None] = "address"

    address: str | None = None  # as `ray.init` takes it; None: a cluster is started here, and ended with the grid

    def answers(
        self, library: Any, orders: Sequence[str], out: Path, progress: Silent
    ) -> Generator[tuple[int, str], None, None]:
        with self._joined(library):
            machines = [_machine(node["Resources"]) for node in library.nodes() if node["Alive"]]
            gpus = int(any(each.gpus for each in machines)) if self.gpus is None else self.gpus
            cpus = cores(machines, len(orders), gpus) if self.cpus is None else self.cpus
            if not _places(machines, cpus, gpus):
                progress.say(f"no machine of the cluster has {cpus} cores and {gpus} GPUs; runs wait until one joins")
            task = library.remote(num_cpus=cpus, num_gpus=gpus, max_retries=AGAIN)(remote.work)
            waiting = {task.remote(order): place for place, order in enumerate(orders)}
            while waiting:
                ready, _ = library.wait(list(waiting), num_returns=1, timeout=LOOKS)
                for ended in ready:
                    place = waiting.pop(ended)
                    try:
                        answer = library.get(ended)
                    except library.exceptions.RayError as error:  # killed AGAIN times, or it cannot even begin
                        answer = remote.lost(f"ray has lost it: {_line(error)}")
                    yield place, answer

    @contextmanager
    def _joined(self, ray: Any) -> Iterator[None]:
        """While in it, this process may ask for tasks.

        Raises:
            InputError: there is no cluster at the address.
        """
        if ray.is_initialized():  # by a program that calls us: its cluster is the one, and stays
            yield
            return
        _knock(self.address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        first = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGTERM)
        own = {name: os.environ[name] for name in OURS if name in os.environ}
        started_or_joined = (
            {"address": "local", "object_store_memory": STORE}  # "local": also where another one is running already
            if self.address is None
            else {"address": self.address, "runtime_env": {"env_vars": own}}
        )
        try:
            ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, **started_or_joined)
        except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
            where = "starts no cluster" if self.address is None else f"reaches no cluster at {self.address}"
            raise InputError(f"--on ray {where}: {_line(error)}") from error
        finally:
            if first:  # ray puts a handler of its own there
                signal.signal(signal.SIGTERM, before)
        try:
            yield
        finally:
            ray.shutdown()


def cores(machines: Sequence[Machine], runs: int, gpus: int) -> int:
    """The most cores that each run can have where as many of them go on at once as is possible.

    Args:
        gpus: of a run.
    """
    most = min(runs, _places(machines, 1, gpus))
    if not most:
        return 1
    return next(
        each for each in range(max(each.cpus for each in machines), 0, -1) if _places(machines, each, gpus) >= most
    )


def _places(machines: Sequence[Machine], cpus: int, gpus: int) -> int:
    """How many runs of that size there is room for."""
    return sum(min(each.cpus // cpus, each.gpus // gpus if gpus else each.cpus) for each in machines)


def _machine(resources: dict[str, float]) -> Machine:
    return Machine(int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))


def _knock(address: str | None) -> None:
    """
    Raises:
        InputError: nobody answers at an address with a port; ray itself would try for minutes.
    """
    if found := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address or ""):
        try:
            socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=KNOCKS).close()
        except (OSError, OverflowError) as error:
            raise InputError(f"--on ray reaches no cluster at {address}: {_line(error)}") from error


def _line(error: Exception) -> str:
    """Its kind and the first line that says something; of an error within a task, the error's own."""
    error = getattr(error, "cause", None) or error
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {said[:300]}".rstrip(": ")
