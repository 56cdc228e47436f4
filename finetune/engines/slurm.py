"""A Slurm cluster, through submitit: a job for each run, all of them one array."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from finetune import remote
from finetune.engines import AGAIN, Cluster
from finetune.errors import InputError
from finetune.progress import Silent

LOGS = ".submitit"  # in the folder of all runs: what submitit writes and reads, and what the jobs have said
POLL = 2.0  # seconds between two looks at the jobs; submitit asks Slurm itself less often
LIMITS = 100  # times that a job goes on after its time limit


class Work:
    """`finetune.remote.work`, with what submitit asks for at a job's time limit: the same, to go on with in another."""

    def __call__(self, order: str) -> str:
        return remote.work(order)

    def checkpoint(self, order: str) -> Any:
        from submitit.helpers import DelayedSubmission  # pyright: ignore[reportMissingImports]

        return DelayedSubmission(self, order)


@dataclass(frozen=True, kw_only=True)
class Slurm(Cluster):
    """What a site wants beside it, such as an account, sbatch reads from the environment: SBATCH_ACCOUNT and others."""

    library: ClassVar[str] = "submitit"
    place: ClassVar[str | None] = "partition"

    partition: str | None = None  # None: the site's own choice
    minutes: int = 240  # of a job; a run that takes longer goes on in another
    memory_gb: int | None = None  # of a job; None: the site's own choice
    executor: Literal["slurm", "local"] = "slurm"  # local: processes of this machine, all of them at once

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("minutes", self.minutes), ("memory_gb", self.memory_gb)):
            if value is not None and value < 1:
                raise InputError(f"engine.{name} must be at least 1, got {value}")

    def answers(
        self, library: Any, orders: Sequence[str], out: Path, progress: Silent
    ) -> Generator[tuple[int, str], None, None]:
        executor = self._executor(library, out)
        jobs = dict(enumerate(_submitted(executor, orders)))
        starts = dict.fromkeys(jobs, 1)
        try:
            while jobs:
                for place, job in list(jobs.items()):
                    if not job.done():
                        continue
                    answer = _answer(library, job)
                    if answer is None and starts[place] <= AGAIN:
                        starts[place] += 1
                        (jobs[place],) = _submitted(executor, [orders[place]])
                        progress.say(f"job {job.job_id} was ended ({job.state}) and is started again as a new one")
                        continue
                    del jobs[place]
                    ended = f"its job was ended {starts[place]} times, at last with state {job.state}; see {_log(job)}"
                    yield place, remote.lost(ended) if answer is None else answer
                if jobs:
                    time.sleep(POLL)
        finally:
            for job in jobs.values():
                job.cancel(check=False)

    def _executor(self, submitit: Any, out: Path) -> Any:
        """
        Raises:
            InputError: there is no Slurm here.
        """
        try:
            executor = submitit.AutoExecutor(
                folder=out.absolute() / LOGS, cluster=self.executor, slurm_max_num_timeout=LIMITS
            )
        except RuntimeError as error:
            raise InputError(f"--on slurm finds no Slurm on this machine: {error}") from error
        sizes = {"timeout_min": self.minutes, "cpus_per_task": self.cpus, "gpus_per_node": self.gpus}
        wanted = {**sizes, "mem_gb": self.memory_gb, "slurm_partition": self.partition}
        executor.update_parameters(
            name="finetune", **{name: value for name, value in wanted.items() if value is not None}
        )
        return executor


def _submitted(executor: Any, orders: Sequence[str]) -> list[Any]:
    """
    Raises:
        InputError: Slurm takes no such jobs.
    """
    try:
        return executor.map_array(Work(), orders)
    except RuntimeError as error:
        raise InputError(f"--on slurm submits nothing: {' '.join(str(error).split())[:300]}") from error


def _answer(submitit: Any, job: Any) -> str | None:
    """What a job that is over has said; None: it was ended before it could say anything."""
    try:
        return job.result()
    except submitit.core.utils.FailedJobError:  # ours says what failed; this is before ours could begin
        return remote.lost(f"its job cannot begin; see {_log(job)}")
    except submitit.core.utils.UncompletedJobError:
        return None


def _log(job: Any) -> Path:
    return job.paths.stderr
