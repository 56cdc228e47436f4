"""Runs elsewhere → one table: what each recipe and method scores at home, elsewhere, and what its backbone forgot.

S seeds, N rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from finetune import paired
from finetune.items import Items, effective, independent
from finetune.report.groups import Failed, Group, differences, groups, named_after
from finetune.report.notes import changed, grouped, intervals, lost, short, single
from finetune.report.tables import IDLE, MISSING, Table, percent, without_idle
from finetune.result import Result
from finetune.shift import Elsewhere, Language, Reference, Shift
from finetune.stats import Estimate, averaged, mean
from finetune.system import System, estimate
from finetune.verdict import signed

HEADER = (
    "recipe",
    "method",
    "attention",
    "settings",
    "train rows",
    "seeds",
    "score",
    "here %",
    "test rows",
    "elsewhere",
    "elsewhere %",
    "rows",
    "reference",
    "before %",
    "after %",
    "points",
    "rows asked",
    "nats before",
    "nats after",
    "nats more",
)
MEASURED = HEADER.index("elsewhere")  # from here on a column may have nothing to say


def shifts(found: Iterable[Shift], failed: Iterable[Failed] = ()) -> Table:
    """A row for each group of runs that differ in nothing but the seed, in the order of their first run.

    Args:
        failed: runs that came to no result; where nothing else of their group did, it is a row of dashes.
    """
    of = {_name(shift.result): shift for shift in found}
    rows = groups((shift.result for shift in of.values()), failed)
    kept = [[of[_name(run)] for run in group.results] for group in rows]
    told = differences(rows)
    cells = tuple(_row(*each) for each in zip(rows, (apart or MISSING for apart in told), kept, strict=True))
    table = Table(HEADER, cells, tuple(dict.fromkeys(_notes(rows, kept))))
    return without_idle(table, {**IDLE, **dict.fromkeys(HEADER[MEASURED:], MISSING)})


def _name(run: Result) -> tuple[str, str]:
    return str(run.recipe["name"]), run.fingerprint


def _row(group: Group, apart: str, kept: Sequence[Shift]) -> tuple[str, ...]:
    if not group.results:
        return (*group.names, apart, *[MISSING] * (len(HEADER) - 4))
    first = group.results[0]
    sound = [run for run in group.results if run.status == "done"]
    ends = [run.status for run in group.results if run.status != "done"]
    return (
        *group.names,
        apart,
        str(first.rows["train"]),
        str(len(group.results)),
        sound[0].headline if sound else MISSING,
        ends[0] if ends else percent(estimate(System(name=group.label, runs=tuple(sound)))),
        str(first.rows["test"]),
        *_elsewhere([shift.elsewhere for shift in kept if shift.elsewhere]),
        *_reference([shift.reference for shift in kept if shift.reference]),
    )


def _elsewhere(found: Sequence[Elsewhere]) -> tuple[str, str, str]:
    if not found:
        return MISSING, MISSING, MISSING
    scores = [next(iter(each.scores.values())) for each in found]
    items = [each.items for each in found if each.items is not None]
    alike = len(items) == len(found) and len({each.ids for each in items}) == 1
    over = _share(items) if alike else averaged(scores)
    return found[0].of, percent(over), str(scores[0].n)


def _reference(found: Sequence[Reference]) -> tuple[str, ...]:
    if not found:
        return (MISSING,) * 8
    before, after = ([each.before for each in found], [each.after for each in found])
    return (
        found[0].of,
        percent(_share(before)),
        percent(_share(after)),
        _gap(change(before, after)),
        str(before[0].n),
        *_nats([each.language for each in found if each.language]),
    )


def _nats(found: Sequence[Language]) -> tuple[str, str, str]:
    if not found:
        return MISSING, MISSING, MISSING
    before, after = (averaged([getattr(each, name) for each in found]) for name in ("before", "after"))
    more = averaged([each.change for each in found])
    over = "" if more.low is None or more.high is None else f" ({more.low:+.3f} to {more.high:+.3f})"
    return f"{before.value:.3f}", f"{after.value:.3f}", f"{more.value:+.3f}{over}"


def change(before: Sequence[Items], after: Sequence[Items]) -> Estimate:
    """How far the share of right neighbours moved, with its interval over rows, and over seeds where there are two.

    Seed by seed: weights that were drawn at random are others before, too.
    """
    moved_SN = independent(after) - independent(before)
    if min(moved_SN.shape) < 2:
        return mean(moved_SN.mean(0))
    found = paired.difference(moved_SN, np.zeros_like(moved_SN), effective(before))
    return Estimate(found.value, found.low, found.high, found.n)


def _share(items: Sequence[Items]) -> Estimate:
    """Of what was right, with its interval over rows, and over seeds where there are two."""
    return paired.share(independent(items), effective(items))


def _gap(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return signed(found.value)
    return f"{signed(found.value)} ({signed(found.low)} to {signed(found.high)})"


def _notes(rows: Sequence[Group], kept: Sequence[Sequence[Shift]]) -> Iterator[str]:
    yield from intervals(rows)
    yield from grouped([run for group in rows for run in group.results])
    yield from short(rows)
    yield from lost(rows)
    yield from single(rows)
    yield from changed(run for group in rows for run in group.results)
    names = {group.name for group in rows}
    for group, found in zip(rows, kept, strict=True):
        if not named_after(group.name, names):  # of controls it is what is said of the recipe
            yield from _away(group, found)
    references = [shift.reference for found in kept for shift in found if shift.reference]
    for each in references:
        yield (
            f"before and after: the share of {each.before.n} rows of {each.of} whose label most of the "
            f"{each.neighbours} nearest of {each.train} others have, by the mean of a backbone's last layer: as it "
            "began, and as it was trained"
        )
    if any(each.language for each in references):
        yield (
            "nats: loss of a token of the same texts, by the checkpoint's own head on the backbone; the interval is "
            "over texts"
        )
    still = [
        group.method
        for group, found in zip(rows, kept, strict=True)
        if any(shift.reference and not shift.reference.trained for shift in found)
    ]
    if still:
        yield f"{', '.join(dict.fromkeys(still))}: no backbone is trained, so after is before"


def _away(group: Group, found: Sequence[Shift]) -> Iterator[str]:
    """What was scored elsewhere, and what not."""
    for shift in found:
        each = shift.elsewhere
        if each is None:
            if shift.reference:  # it was measured, but not there
                yield f"{group.name}: no data set from elsewhere is known for it; --on RECIPE names one"
            continue
        left = [
            *([f"{_rows(each.others)} of labels that it does not know"] if each.others else []),
            *([f"{_rows(each.own)} that its own data set has too"] if each.own else []),
        ]
        without = f", without {' and '.join(left)}" if left else ""
        yield f"{group.name} elsewhere: {each.of}{without}; it may answer any label that it knows"


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"
