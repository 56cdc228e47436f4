"""What was tried before methods were compared: validation scores at every learning rate.

From result records alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from finetune.report.families import Family, chosen, families
from finetune.report.groups import Failed
from finetune.report.tables import MISSING, Table, without_idle
from finetune.result import Result
from finetune.system import validated

HEADER = ("recipe", "method", "attention", "settings", "score", "validation rows")


def trials(results: Iterable[Result], _: Iterable[Failed] = ()) -> Table:
    """A row for each method, a column for each learning rate that any of them tried."""
    found = families(results)
    rates = sorted({rate for family in found for rate in family.rates})
    header = (*HEADER, *(f"{rate:g}" for rate in rates), "chosen")
    rows = tuple(_row(family, rates) for family in found)
    lines = ["± is half of the 95 % interval over the validation rows; one seed"] if rates else []
    lines += [] if found else ["nothing was tried: `finetune compare … --trials 5` gives each method five settings"]
    return without_idle(Table(header, rows, (*lines, *chosen(found))))


def _row(family: Family, rates: Sequence[float]) -> tuple[str, ...]:
    best, first = family.best, family.trials[0]
    metric = MISSING if best is None else next(iter(best.validation))
    cells = [cell(family.rates.get(rate)) for rate in rates]
    names = (*family.names[:3], family.names[3] or MISSING)
    return (*names, metric, str(first.rows["validation"]), *cells, _choice(family))


def cell(trial: Result | None) -> str:
    """Its validation score, with half of the interval."""
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
