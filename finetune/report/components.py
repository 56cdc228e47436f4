"""Where the uncertainty of each row comes from: test rows, seeds, the rows that were labelled, what was tuned.

From result records alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from finetune.report.families import families
from finetune.report.groups import Failed, Group, differences, finals, groups
from finetune.report.notes import grouped
from finetune.report.tables import MISSING, Table, without_idle
from finetune.result import Result
from finetune.system import System, by_draw, in_common, stacked, unfit, validated
from finetune.variance import components, of_choice

HEADER = (
    "recipe",
    "method",
    "attention",
    "settings",
    "score",
    "value %",
    "test rows ±",
    "seeds ±",
    "training rows ±",
    "tuning ±",
)


def variances(results: Iterable[Result], failed: Iterable[Failed] = ()) -> Table:
    """Standard deviations, in points, of the score of one run, as if only that were left to chance."""
    results = list(results)
    found = groups(finals(results), failed)
    tried = families(results)
    shared = Counter(family.names[:3] for family in tried)  # of several, such as by labels, none is the row's
    tuned = {
        family.names[:3]: [validated(each).value for each in family.own if each.validation]
        for family in tried
        if shared[family.names[:3]] == 1
    }
    rows = [
        (*group.names, apart or MISSING, *_row(group), _tuning(tuned.get(group.names, [])))
        for group, apart in zip(found, differences(found), strict=True)
    ]
    told = (
        "± is the standard deviation, in points, that the score of one run owes to it alone; in brackets how many",
        *(
            ["0.00 of seeds or training rows: what they differ by is no more than the rest makes of it"]
            if _none(rows)
            else []
        ),
        *(
            ["tuning: of the best validation score, were as many trials drawn anew of those that came to a score"]
            if any(tuned.values())
            else []
        ),
        *grouped(results),
    )
    return without_idle(Table(HEADER, tuple(rows), told))


def _row(group: Group) -> tuple[str, ...]:
    system = System(name=group.label, runs=group.results)
    sound = [run for run in group.results if run.scores]
    if not sound:
        return (MISSING,) * 5
    value = f"{100 * np.mean([run.scores[run.headline].value for run in sound]):.2f}"
    if unfit(system, fewest=1):
        return (sound[0].headline, value, *[MISSING] * 3)
    drawn = list(by_draw(*in_common([system])).values())
    seeds = min(map(len, drawn))  # as many of each draw: the analysis is of a balanced design
    scores_DSN = np.stack([stacked(runs[:seeds]) for runs in drawn])
    found, n = components(scores_DSN), scores_DSN.shape[2]
    rows = str(n) if system.sample == "test rows" else f"{n} groups"
    cells = ((found.items, rows), (found.seeds, seeds), (found.draws, len(drawn)))
    return (sound[0].headline, value, *(_cell(deviation, count) for deviation, count in cells))


def _none(rows: Iterable[Sequence[str]]) -> bool:
    """Whether a variance of what was drawn several times came out as nothing."""
    first, end = HEADER.index("seeds ±"), HEADER.index("tuning ±")
    return any(cell.startswith("0.00 (") for row in rows for cell in row[first:end])


def _cell(deviation: float | None, count: int | str) -> str:
    return MISSING if deviation is None else f"{100 * deviation:.2f} ({count})"


def _tuning(scores: Sequence[float]) -> str:
    return _cell(math.sqrt(of_choice(scores)), len(scores)) if len(scores) > 1 else MISSING
