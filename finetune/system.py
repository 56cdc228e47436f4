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
from finetune.items import Items, independent, shared_groups
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
        return "test rows" if shared_groups(_items(self.runs)) is None else "groups of test rows"

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
    groups_N = shared_groups(_items(system.runs))
    if groups_N is not None and (groups_N == groups_N[0]).all():
        return "all its test rows are of one group, and of others nothing is known"
    if len(system.runs) < fewest:
        return "of one seed there is no spread: 2 or more are needed"
    return ""


def check_fit(system: System) -> None:
    """
    Raises:
        InputError: no verdict can be made of it.
    """
    if why := unfit(system):
        raise InputError(f"no verdict on {system.name}: {why}")


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
    """(S, N): whether each run had each test row right, or its score (of groups of rows what stands for these); of
    several draws of training rows, their means.

    Seeds with the same rows are then no independent trials of what a method makes of such rows.

    Args:
        chosen_N: of which of the test rows; None: of all.

    Raises:
        InputError: no verdict can be made of it.
    """
    check_fit(system)
    of_draw = [stacked(runs, chosen_N) for runs in by_draw(*in_common([system])).values()]
    return of_draw[0] if len(of_draw) == 1 else np.stack([each_SN.mean(0) for each_SN in of_draw])


def estimate(system: System, chosen_N: np.ndarray | None = None) -> Estimate:
    """Its mean score, with the 95 % interval over test rows and seeds; over rows alone where no more is known.

    That is so of one seed, and of a score that single rows do not have.
    """
    if chosen_N is None and unfit(system):
        return averaged([run.scores[run.headline] for run in system.runs])
    (system,) = in_common([system])
    scores_SN = stacked(system.runs, chosen_N) if len(system.runs) == 1 else right(system, chosen_N)
    return paired.share(scores_SN, effective(system, chosen_N))


def stacked(runs: Sequence[Result], chosen_N: np.ndarray | None = None) -> np.ndarray:
    """(S, N): whether each run had each test row right, or its score; of groups of rows what stands for these."""
    return independent(_items(runs), chosen_N)


def effective(system: System, chosen_N: np.ndarray | None = None) -> float | None:
    """The effective number of groups of its test rows; None: rows are alone."""
    return items.effective(_items(system.runs), chosen_N)


def _items(runs: Sequence[Result]) -> list[Items]:
    return [run.items for run in runs if run.items is not None]


def in_common(systems: Sequence[System]) -> list[System]:
    """The same, without groups of test rows unless all records tell the same: some may be of an earlier version."""
    if len({each.groups for system in systems for each in _items(system.runs)}) < 2:
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
