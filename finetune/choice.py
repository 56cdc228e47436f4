"""Which way to train to take: by validation rows, within what it may cost; and which no other reaches in less time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.errors import InputError
from finetune.result import Result
from finetune.system import System, validated


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
    """Of those within the limits the one with the highest mean score on validation rows, and of equal ones the fastest.

    None where there is none with validation rows.
    """
    known = [system for system in systems if limits.allow(system) and system.validation is not None]
    return max(known, key=lambda system: (system.validation or 0.0, -system.seconds), default=None)


def frontier(systems: Sequence[System]) -> list[System]:
    """Those that no other reaches in less time, fastest first: the Pareto set of test score and time."""
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
