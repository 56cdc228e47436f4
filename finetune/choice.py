"""Which way to train to take: by validation, within what it may cost, and those that nothing cheaper is as good as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.errors import InputError
from finetune.result import Result
from finetune.stats import Estimate
from finetune.verdict import System


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run may cost. None: any amount."""

    minutes: float | None = None  # of training, with the features it needs
    saved_mb: float | None = None  # of what was trained, on disk
    trained: int | None = None  # parameters

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise InputError(f"{name} must be above 0, got {value:g}")

    def __str__(self) -> str:
        units = {"minutes": "{:g} minutes", "saved_mb": "{:g} MB saved", "trained": "{:,} trained parameters"}
        return ", ".join(units[name].format(value) for name, value in vars(self).items() if value is not None)

    def allow(self, system: System) -> bool:
        costs = {
            "minutes": system.seconds / 60,
            "saved_mb": max(run.saved_bytes for run in system.runs) / 1e6,
            "trained": max(run.parameters["trained"] for run in system.runs),
        }
        return all(costs[name] <= value for name, value in vars(self).items() if value is not None)


def best(systems: Sequence[System], limits: Limits) -> System | None:
    """Of those within the limits the one with the highest mean score, and of equal ones the fastest."""
    return max(filter(limits.allow, systems), key=lambda system: (system.score, -system.seconds), default=None)


def frontier(systems: Sequence[System]) -> list[System]:
    """Those that no other reaches in less time, fastest first: the Pareto set of score and time."""
    found: list[System] = []
    for system in sorted(systems, key=lambda system: (system.seconds, -system.score)):
        if not found or system.score > found[-1].score:
            found.append(system)
    return found


def winner(trials: Sequence[Result]) -> Result | None:
    """The one with the highest validation score, of equal ones with the least validation loss.

    None where none came to a score.
    """
    sound = [trial for trial in trials if trial.validation]
    return max(sound, key=lambda trial: (validated(trial).value, -(trial.validation_loss or 0.0)), default=None)


def validated(trial: Result) -> Estimate:
    """Its headline score on the validation rows."""
    return next(iter(trial.validation.values()))
