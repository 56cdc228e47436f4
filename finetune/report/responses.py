"""How each setting answers to the learning rate: test scores of runs that differ in it, and are no trials.

From result records alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from finetune.report.groups import Failed, Group, brief, differences, finals, groups
from finetune.report.notes import notes
from finetune.report.shared import shared
from finetune.report.tables import MISSING, Table, percent, without_idle
from finetune.result import Result
from finetune.stats import Estimate
from finetune.system import System, estimate

RATE = "method.optim.learning_rate"


@dataclass(frozen=True, kw_only=True)
class Response:
    """Runs that differ in the learning rate and the seed alone."""

    name: str  # what sets it apart from others of its recipe, in few words
    settings: str  # the same, as `--set` takes it
    at: dict[float, Group]  # ascending

    @property
    def first(self) -> Group:
        return next(iter(self.at.values()))

    @property
    def scores(self) -> dict[float, Estimate]:
        """Shares of right test rows; without the rates at which a run came to no score."""
        return {rate: found for rate, group in self.at.items() if (found := _score(group)) is not None}


def responses(every: Sequence[Group]) -> list[Response]:
    """In the order of their first runs; what was run at a single rate is none."""
    alike: dict[str, list[Group]] = {}
    for group in (each for each in every if RATE in each.settings):
        alike.setdefault(json.dumps([group.names, _beside(group)], sort_keys=True), []).append(group)
    several = [sorted(found, key=lambda each: each.settings[RATE]) for found in alike.values() if len(found) > 1]
    first = [replace(found[0], settings=_beside(found[0])) for found in several]
    return [
        Response(name=_name(own, first, apart), settings=settings, at={each.settings[RATE]: each for each in found})
        for own, found, apart, settings in zip(first, several, brief(first), differences(first), strict=True)
    ]


def by_rate(results: Iterable[Result], failed: Iterable[Failed] = ()) -> Table:
    """A row for each setting, a column for each rate; of methods that were tuned, what one rate for all would say."""
    results = list(results)
    every = groups(finals(results), failed)
    found = responses(every)
    if not found:
        return shared(results)
    rates = sorted({rate for each in found for rate in each.at})
    header = ("recipe", "method", "attention", "settings", "train rows", "seeds", "score")
    rows = tuple(
        (*each.first.names, each.settings or MISSING, *_of_runs(each), *(_cell(each, rate) for rate in rates))
        for each in found
    )
    shown = [group for each in found for group in each.at.values()]
    told = (
        "columns: the learning rate; in brackets the 95 % interval over test rows, and over seeds where there are two"
    )
    header = (*header, *(f"% at {rate:g}" for rate in rates))
    return without_idle(Table(header, rows, (told, *notes(shown, judged=False))))


def _name(own: Group, every: Sequence[Group], apart: str) -> str:
    """Its method and attention, where others of its recipe have another, and what else sets it apart."""
    kin = [each.names for each in every if each.name == own.name]
    varies = [len({names[place] for names in kin}) > 1 for place in (1, 2)]
    said = [name for name, several in zip(own.names[1:], varies, strict=True) if several]
    return " ".join((*said, apart)).strip() or own.method


def _beside(group: Group) -> dict[str, object]:
    return {path: value for path, value in group.settings.items() if path != RATE}


def _score(group: Group) -> Estimate | None:
    """Over seeds and test rows where there are two and the records say which rows were right; else over rows."""
    runs = group.results
    if not runs or any(run.status != "done" for run in runs):
        return None
    return estimate(System(name=group.label, runs=runs))


def _of_runs(response: Response) -> tuple[str, ...]:
    runs = [run for group in response.at.values() for run in group.results]
    counts = dict.fromkeys(str(len(group.results)) for group in response.at.values())
    rows = dict.fromkeys(str(run.rows["train"]) for run in runs)
    return ", ".join(rows) or MISSING, ", ".join(counts), next((run.headline for run in runs if run.headline), MISSING)


def _cell(response: Response, rate: float) -> str:
    if rate in response.scores:
        return percent(response.scores[rate])
    runs = response.at[rate].results if rate in response.at else ()
    return next((run.status for run in runs if run.status != "done"), MISSING)
