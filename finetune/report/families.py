"""The trials that methods were chosen by: which belong together, which did best, and what to know of the choice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from finetune.choice import winner
from finetune.report.groups import differences, groups, named_alone
from finetune.result import Result


@dataclass(frozen=True, kw_only=True)
class Family:
    """The trials of one method with one attention."""

    label: str
    names: tuple[str, str, str, str]  # of the recipe, its method and attention, and other settings
    trials: tuple[Result, ...]

    @property
    def own(self) -> list[Result]:
        """Those that it was chosen by."""
        return [trial for trial in self.trials if not trial.shared]

    @property
    def best(self) -> Result | None:
        return winner(self.own)

    @property
    def rates(self) -> dict[float, Result]:
        """Those by their learning rate; none where it was something else that was tried."""
        return _by_rate(self.own)

    @property
    def everywhere(self) -> dict[float, Result]:
        """The same, with those at the best rates of other methods."""
        return _by_rate(self.trials)

    @property
    def beside(self) -> str:
        """What it has in common with those of other methods that it is compared with: their recipe but for that."""
        return json.dumps({**self.trials[0].recipe, "method": None}, sort_keys=True)

    @property
    def best_rate(self) -> float | None:
        return next((rate for rate, trial in self.rates.items() if trial is self.best), None)


def _by_rate(trials: Iterable[Result]) -> dict[float, Result]:
    optims = [(trial.recipe["method"].get("optim"), trial) for trial in trials]
    return {optim["learning_rate"]: trial for optim, trial in optims if optim is not None}


def families(results: Iterable[Result]) -> list[Family]:
    """The trials by what they are trials of, in the order they were made."""
    alike: dict[str, list[Result]] = {}
    for trial in (each for each in results if each.trial):
        method = {name: value for name, value in trial.recipe["method"].items() if name != "optim"}
        alike.setdefault(json.dumps({**trial.recipe, "method": method}, sort_keys=True), []).append(trial)
    first = [groups(trials[:1])[0] for trials in alike.values()]
    return [
        Family(label=f"{group.label} {settings}".strip(), names=(*group.names, settings), trials=tuple(trials))
        for group, settings, trials in zip(first, differences(first), alike.values(), strict=True)
    ]


def chosen(families: Iterable[Family]) -> Iterator[str]:
    """A line for each choice: from how many, by how many rows, and whether the best may lie beyond what was tried."""
    for family in families:
        best = family.best
        if best is None:
            continue
        if best.choice is not None:
            yield f"{family.label}: {head(best)}"
        elif family.best_rate is not None:
            rates = sorted(family.rates)
            beyond = {rates[0]: "lower", rates[-1]: "higher"}.get(family.best_rate)
            edge = f"; it is at the edge of what was tried, the best may be {beyond}" if beyond else ""
            span = f"{len(rates)} from {rates[0]:g} to {rates[-1]:g}"
            by = f"by {best.rows['validation']} validation rows"
            yield f"{family.label}: learning rate {family.best_rate:g} chosen of {span} {by}{edge}"


def head(run: Result) -> str:
    """Which of all heads on a frozen backbone a run has chosen."""
    choice = run.choice or {}
    what = f"layer {choice['layer']} of {choice['layers'] - 1}, {choice['pooling']} pooling"
    by = f"chosen of {choice['probes']} heads by {run.rows['validation']} validation rows"
    return f"{what}, penalty {choice['penalty']:g} {by}"


def looked(results: Sequence[Result]) -> Iterator[str]:
    """Whether the test rows of what was chosen were new to those who chose."""
    of_rows: dict[str, list[Result]] = {}
    for result in named_alone(results):
        if result.opened is not None and result.test_set is not None:
            of_rows.setdefault(result.test_set, []).append(result)
    for runs in of_rows.values():
        opened, names = runs[0].opened or {}, ", ".join(dict.fromkeys(run.recipe["name"] for run in runs))
        of = f" of {names}" if len(of_rows) > 1 else ""
        if before := opened["before"]:
            others = "1 other run or comparison" if len(before) == 1 else f"{len(before)} other runs or comparisons"
            yield f"test set{of} reused: at least {others} had looked at these test rows before, first on {before[0]}"
        else:
            yield f"test set{of} opened once, on {opened['time']}, after every choice"
