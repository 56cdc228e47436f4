"""Which rows of a table are better than which, equivalent, or undecided: from the records of their runs alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from finetune.choice import Limits, best, frontier
from finetune.report.forecasts import duration
from finetune.report.groups import comparable, finals, groups, singles, systems
from finetune.report.notes import changed, grouped
from finetune.report.tables import MISSING, Table
from finetune.result import Result
from finetune.system import System, unfit
from finetune.verdict import MARGIN, Verdict, check_margin, judge, of_one_seed, signed

ANY = Limits()
HEADER = (
    "higher",
    "lower",
    "verdict",
    "score",
    "points apart",
    "95 % interval",
    "p",
    "test rows",
    "seeds",
    "times as long",
    "rows needed",
    "seeds needed",
)


def verdicts(results: Iterable[Result], margin: float = MARGIN, limits: Limits = ANY) -> Table:
    """A row for every two groups of runs that were tested on the same rows; below, the same in words and what to take.

    Raises:
        InputError: the margin is not above 0.
    """
    check_margin(margin)
    kept = finals(results)
    every = systems([group for group in groups(kept) if not group.control])  # a control is no candidate
    together = comparable(every)
    found = [verdict for alike in together for verdict in judge(alike, margin)]
    notes = [verdict.sentence for verdict in found]
    for alike in together:
        if len(alike) > 1:
            notes += [*_fastest(alike), *(_within(alike, found, limits) if limits != ANY else [])]
    notes += [*grouped(kept), *changed(kept)]
    notes += [f"no verdict on {system.name}: {why}" for system in every if (why := unfit(system))]
    notes += of_one_seed(list(singles(every)))
    alone = [alike[0].name for alike in together if len(alike) == 1]
    notes += [f"no verdict on {name}: nothing else was tested on its rows" for name in alone]
    if found:
        notes.append(
            "p and “better” hold for all comparisons of one recipe on the same rows together, and for all of two "
            "recipes (Holm 1979); both count test rows and seeds; equivalent is within "
            f"{100 * margin:g} points (two one-sided tests at 5 %)"
        )
    return Table(HEADER, tuple(map(_row, found)), tuple(notes))


def _by_machine(systems: Sequence[System]) -> dict[str, list[System]]:
    """Times of one machine are not another's. What they are of is empty where all are of one."""
    every: dict[str, list[System]] = {}
    for system in systems:
        every.setdefault(" on " + "; ".join(sorted(system.machines)), []).append(system)
    return every if len(every) > 1 else {"": list(systems)}


def _fastest(systems: Sequence[System]) -> Iterator[str]:
    """Of each machine what nothing both beats and takes less time than."""
    for where, beside in _by_machine(systems).items():
        kept = frontier(beside)
        words = [f"{system.name} {100 * system.score:.1f} % in {duration(system.seconds)}" for system in kept]
        beaten = [system.name for system in beside if system not in kept]
        takes = "takes longer and scores" if len(beaten) == 1 else "take longer and score"
        rest = f"; {' and '.join(beaten)} {takes} no higher" if beaten else ""
        yield f"{systems[0].runs[0].headline} against time{where}: {', '.join(words)}{rest}"


def _within(systems: Sequence[System], verdicts: Sequence[Verdict], limits: Limits) -> Iterator[str]:
    """What to take of the systems that cost no more than that, and how sure it is; of each machine, if time counts."""
    for where, beside in (_by_machine(systems) if limits.minutes is not None else {"": systems}).items():
        yield f"within {limits}{where}: {_taken(beside, verdicts, limits)}"


def _taken(systems: Sequence[System], verdicts: Sequence[Verdict], limits: Limits) -> str:
    allowed = {system.name for system in systems if limits.allow(system)}
    taken = best(systems, limits)
    unknown = [system.name for system in systems if system.name in allowed and system.validation is None]
    blind = f"; of {', '.join(unknown)} there are no validation rows to choose by" if unknown else ""
    if taken is None or taken.validation is None:
        return f"none of {', '.join(system.name for system in systems)}{blind}"
    sure = {"better": "better than", "equivalent": "equivalent to", "undecided": "undecided against"}
    beside = [
        f"{sure[verdict.kind]} {({verdict.ours, verdict.theirs} - {taken.name}).pop()}"
        for verdict in verdicts
        if taken.name in (verdict.ours, verdict.theirs) and {verdict.ours, verdict.theirs} <= allowed
    ]
    known = f"; {', '.join(beside)}" if beside else "; nothing else is"
    score = f"{100 * taken.validation:.1f} % of the validation rows and {100 * taken.score:.1f} % of the test rows"
    return f"{taken.name}, highest on the validation rows: {score}{known}{blind}"


def _rows(count: int, verdict: Verdict) -> str:
    """Of test rows, or of groups of them."""
    return str(count) if verdict.sample == "test rows" else f"{count} groups"


def _row(verdict: Verdict) -> tuple[str, ...]:
    found = verdict.found
    return (
        verdict.ours,
        verdict.theirs,
        verdict.kind,
        verdict.metric,
        signed(found.value),
        f"{signed(found.low)} to {signed(found.high)}",
        f"{verdict.p:.3f}",
        _rows(found.n, verdict),
        " and ".join(map(str, dict.fromkeys(found.seeds))),
        MISSING if verdict.cost in (None, math.inf) else f"{verdict.cost:.2g}",
        MISSING if verdict.items is None else _rows(verdict.items, verdict),
        MISSING if verdict.seeds is None else str(verdict.seeds),
    )
