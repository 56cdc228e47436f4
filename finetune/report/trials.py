"""What was tried before methods were compared: validation scores at every learning rate, and what one for all would do.

From result records alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from finetune.choice import validated
from finetune.report.families import Family, chosen, families
from finetune.report.groups import Failed
from finetune.report.tables import MISSING, Table, without_idle
from finetune.result import Result

HEADER = ("recipe", "method", "attention", "settings", "score", "validation rows")


def trials(results: Iterable[Result], _: Iterable[Failed] = ()) -> Table:
    """A row for each method, a column for each learning rate that any of them tried."""
    found = families(results)
    rates = sorted({rate for family in found for rate in family.rates})
    header = (*HEADER, *(f"{rate:g}" for rate in rates), "chosen")
    rows = tuple(_row(family, rates) for family in found)
    lines = ["± is half of the 95 % interval over the validation rows; one seed"] if rates else []
    lines += [] if found else ["nothing was tried: `finetune compare … --trials 5` gives each method five settings"]
    return without_idle(Table(header, rows, (*lines, *chosen(found), *_shared(found))))


def _row(family: Family, rates: Sequence[float]) -> tuple[str, ...]:
    best, first = family.best, family.trials[0]
    metric = MISSING if best is None else next(iter(best.validation))
    cells = [_cell(family.rates.get(rate)) for rate in rates]
    names = (*family.names[:3], family.names[3] or MISSING)
    return (*names, metric, str(first.rows["validation"]), *cells, _choice(family))


def _cell(trial: Result | None) -> str:
    if trial is None:
        return MISSING
    if not trial.validation:
        return trial.status
    found = validated(trial)
    half = "" if found.low is None or found.high is None else f" ±{50 * (found.high - found.low):.1f}"
    return f"{100 * found.value:.1f}{half}"


def _choice(family: Family) -> str:
    best = family.best
    if best is None:
        return MISSING
    if best.choice is not None:
        return f"layer {best.choice['layer']}, {best.choice['pooling']}, penalty {best.choice['penalty']:g}"
    return f"{family.best_rate:g}"


def _shared(families: Sequence[Family]) -> Iterator[str]:
    """What each method would have at the best learning rate of another: the comparison of those who tune one."""
    for own, other in itertools.permutations(families, 2):
        rate, best = own.best_rate, other.best
        if rate is None or best is None or other.best_rate is None or own.names[0::3] != other.names[0::3]:
            continue
        there = other.rates.get(rate)
        if there is None:
            yield f"{other.label} was not tried at {rate:g}, the best of {own.label}"
        elif there is not best:
            had = f"have {100 * validated(there).value:.1f} %" if there.validation else "have diverged"
            instead = f"instead of {100 * validated(best).value:.1f} %"
            yield f"at {rate:g}, the best of {own.label}, {other.label} would {had} {instead}"
