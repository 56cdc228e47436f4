"""How well each method does on sources of each length: beyond what it was trained on, too.

From result records alone. S seeds, N test items, n of them of one length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from finetune.report.groups import Failed, Group, differences, finals, groups
from finetune.report.notes import notes
from finetune.report.tables import MISSING, Table, percent, without_idle
from finetune.result import Result
from finetune.stats import Estimate
from finetune.system import System, estimate, unfit

FEW = 30  # test rows of a length, below which its cell says little


def lengths(results: Iterable[Result], failed: Iterable[Failed] = ()) -> Table:
    """A row for each method, a column for each length of a source; below, what was trained on."""
    every = groups(finals(results), failed)
    found = [by_length(group) for group in every]
    columns = sorted({length for each in found for length in each})
    header = ("recipe", "method", "attention", "settings", "parameters", "train rows", "s/epoch", "seeds", "score")
    rows = tuple(
        (*group.names, apart or MISSING, *_costs(group), *(_cell(each, length) for length in columns))
        for group, apart, each in zip(every, differences(every), found, strict=True)
    )
    told = (*_read(every, found), *notes(every, judged=False))
    return without_idle(Table((*header, *(f"{length} %" for length in columns)), rows, told))


def by_length(group: Group) -> dict[int, Estimate]:
    """The share of right test rows of each length of a source; nothing, where records do not tell it."""
    system = System(name=group.label, runs=group.results)
    items = group.results[0].items if group.results else None
    if items is None or unfit(system, fewest=1):
        return {}
    measured_N = items.measured()
    if measured_N is None:
        return {}
    return {int(each): estimate(system, measured_N == each) for each in np.unique(measured_N)}


def longest(group: Group) -> int | None:
    """The length of a source that it was trained on at most; None: any."""
    return group.settings.get("data.longest")


def _costs(group: Group) -> tuple[str, ...]:
    if not group.results:
        return (MISSING,) * 5
    first, runs = group.results[0], group.results
    seconds = [run.seconds["train"] / run.epochs for run in runs if run.epochs]
    return (
        str(first.parameters["total"]),
        str(first.rows["train"]),
        f"{sum(seconds) / len(seconds):.1f}" if seconds else MISSING,
        str(len(runs)),
        next((run.headline for run in runs if run.headline), MISSING),
    )


def _cell(found: dict[int, Estimate], length: int) -> str:
    return percent(found[length]) if length in found else MISSING


def _read(every: Sequence[Group], found: Sequence[dict[int, Estimate]]) -> Iterator[str]:
    """How the columns are to be read."""
    if any(found):
        yield "columns: length of the source; in brackets the 95 % interval over test rows and seeds"
        yield "s/epoch: seconds of training, of the mean run"
    names = dict.fromkeys(group.label for group, each in zip(every, found, strict=True) if group.results and not each)
    if names:
        yield f"no lengths are known of {', '.join(names)}: rows have none, a run came to no score, or a record is old"
    limits = dict.fromkeys((group.name, longest(group)) for group, each in zip(every, found, strict=True) if each)
    for limit in dict.fromkeys(limit for _, limit in limits if limit is not None):
        names = ", ".join(dict.fromkeys(name for name, own in limits if own == limit))
        yield f"{names}: trained on sources of at most {limit}"
    counts = {length: each.n for own in found for length, each in own.items()}
    few = ", ".join(f"{counts[length]} of length {length}" for length in sorted(counts) if counts[length] < FEW)
    if few:
        yield f"few test rows: {few}"
