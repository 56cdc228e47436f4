"""A way to train and its finished runs: what they scored, on which rows, and whether they can be held against others.

S seeds, N test items, or groups of them where rows are of groups, as reviews of films.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finetune import items, paired
from finetune.errors import InputError
from finetune.result import Result
from finetune.stats import Estimate, averaged


@dataclass(frozen=True, kw_only=True)
class System:
    """A way to train, and its finished runs: one for each seed."""

    name: str
    runs: tuple[Result, ...]

    @property
    def seconds(self) -> float:
        """What a run takes, with the features it needs."""
        return sum(run.seconds["train"] + run.seconds["features"] for run in self.runs) / len(self.runs)

    @property
    def machines(self) -> set[str]:
        """Where its runs were made: times of one machine say little of those of another."""
        return {run.machine for run in self.runs}

    @property
    def unit(self) -> str:
        """What its scores are independent of each other by."""
        return "seeds" if len(by_draw(self)) == 1 else "draws of training rows"

    @property
    def sample(self) -> str:
        """What else its scores are independent of each other by."""
        alone = items.together([run.items for run in self.runs if run.items is not None]) is None
        return "test rows" if alone else "groups of test rows"

    @property
    def score(self) -> float:
        """The mean over its runs of the headline."""
        return sum(run.scores[run.headline].value for run in self.runs) / len(self.runs)

    @property
    def validation(self) -> float | None:
        """The same on the validation rows; None: there are none."""
        found = [validated(run).value for run in self.runs if run.validation]
        return sum(found) / len(found) if len(found) == len(self.runs) else None


def validated(run: Result) -> Estimate:
    """Its headline score on the validation rows."""
    return next(iter(run.validation.values()))


def unfit(system: System, fewest: int = 2) -> str:
    """Why no verdict can be made of a system; nothing where one can."""
    if any(run.status != "done" for run in system.runs):
        return f"a run {next(run.status for run in system.runs if run.status != 'done')}"
    if any(run.items is None for run in system.runs):
        return f"{system.runs[0].headline} has no score for each test row, or the record is of an earlier version"
    if rows_of(system) is None:
        return "its runs were tested on different rows"
    if any(len(sums) > 1 for sums in contents(system.runs).values()):
        return "its data has changed between its runs"
    if len(system.runs) < fewest:
        return "of one seed there is no spread: 2 or more are needed"
    return ""


def rows_of(system: System) -> str | None:
    """Names the test rows of a system's runs; None where they do not say, or not the same."""
    names = {run.items.ids if run.items is not None else None for run in system.runs}
    return names.pop() if len(names) == 1 else None


def contents(runs: Iterable[Result]) -> dict[str, dict[str, list[Result]]]:
    """Which runs had which contents (sha256) of each data set that recipes name; more than one where it has changed."""
    found: dict[str, dict[str, list[Result]]] = {}
    for run in runs:
        named = json.dumps(run.recipe["data"], sort_keys=True)
        found.setdefault(named, {}).setdefault(run.data["sha256"], []).append(run)
    return found


def right(system: System, chosen_N: np.ndarray | None = None) -> np.ndarray:
    """(S, N): whether each run had each test row right, or its score; of several draws of training rows, their means.

    Seeds with the same rows are then no independent trials of what a method makes of such rows.

    Args:
        chosen_N: of which of the test rows; None: of all.

    Raises:
        InputError: no verdict can be made of it.
    """
    if why := unfit(system):
        raise InputError(f"no verdict on {system.name}: {why}")
    of_draw = [stacked(runs, chosen_N) for runs in by_draw(*in_common([system])).values()]
    return of_draw[0] if len(of_draw) == 1 else np.stack([each_SN.mean(0) for each_SN in of_draw])


def estimate(system: System) -> Estimate:
    """Its mean score, with the 95 % interval over test rows and seeds; over rows alone where no more is known.

    That is so of one seed, and of a score that single rows do not have.
    """
    if unfit(system, fewest=1):
        return averaged([run.scores[run.headline] for run in system.runs])
    return paired.share(stacked(system.runs) if len(system.runs) == 1 else right(system))


def stacked(runs: Sequence[Result], chosen_N: np.ndarray | None = None) -> np.ndarray:
    """(S, N): whether each run had each test row right, or its score; of groups of rows what stands for these."""
    return items.stacked([run.items for run in runs if run.items is not None], chosen_N)


def in_common(systems: Sequence[System]) -> list[System]:
    """The same, without groups of test rows unless all records tell them: some may be of an earlier version."""
    runs = [run for system in systems for run in system.runs if run.items is not None]
    if len({run.items.groups is None for run in runs if run.items is not None}) < 2:
        return list(systems)
    return [replace(system, runs=tuple(map(_alone, system.runs))) for system in systems]


def _alone(run: Result) -> Result:
    return run if run.items is None else replace(run, items=replace(run.items, groups=None))


def by_draw(system: System) -> dict[int, list[Result]]:
    """The runs by which of the training rows they had."""
    found: dict[int, list[Result]] = {}
    for run in system.runs:
        found.setdefault(run.recipe["split"].get("draw", 0), []).append(run)
    return found
