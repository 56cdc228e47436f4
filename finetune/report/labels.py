"""How many labels each method needs: its score at every budget of training rows, and where one overtakes another.

From result records alone. Controls are rows, and have no part in who leads.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from finetune import paired
from finetune.crossover import crossover
from finetune.report.groups import Failed, Group, finals, groups, named_after
from finetune.report.notes import notes
from finetune.report.tables import MISSING, Table, percent, without_idle
from finetune.result import Result
from finetune.system import System, estimate, in_common, right, rows_of, unfit
from finetune.verdict import judge

ALL = "all"
Alike = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One method with one attention, by the cap on the rows of each class."""

    names: tuple[str, str, str]
    budgets: dict[int | None, Group]

    @property
    def label(self) -> str:
        return next(iter(self.budgets.values())).label

    @property
    def control(self) -> bool:
        """Whether it is there to be beaten."""
        return any(group.control for group in self.budgets.values())

    def system(self, cap: int | None) -> System | None:
        """None where no verdict can be made of it."""
        group = self.budgets.get(cap)
        found = System(name=self.label, runs=group.results) if group is not None and group.results else None
        return None if found is None or unfit(found) else found


def labels(results: Iterable[Result], failed: Iterable[Failed] = ()) -> Table:
    """A row for each method, a column for each number of labels of a class; below, from where on which is better."""
    every = groups(finals(results), failed)
    found = curves(every)
    caps = sorted({cap for curve in found for cap in curve.budgets}, key=_order)
    header = ("recipe", "method", "attention", "test rows", "seeds", "score", *(_said(cap) for cap in caps))
    rows = tuple(_row(curve, caps) for curve in found)
    told = [
        "columns: labels of each class; in brackets the 95 % interval, over test rows and seeds where there are two",
        *_rows_of_caps(found, caps),
        *_overtaken([curve for curve in found if not curve.control], caps),
    ]
    return without_idle(Table(header, rows, (*told, *notes(every, judged=False))))


def curves(every: Sequence[Group]) -> list[Curve]:
    """The groups by what they have in common but the cap."""
    names = dict.fromkeys(group.names for group in every)
    found = []
    for each in names:
        own = (group for group in every if group.names == each)
        found.append(Curve(names=each, budgets={group.settings.get("split.per_class"): group for group in own}))
    return found


def _order(cap: int | None) -> float:
    return math.inf if cap is None else cap


def _said(cap: int | None) -> str:
    return ALL if cap is None else str(cap)


def _row(curve: Curve, caps: Sequence[int | None]) -> tuple[str, ...]:
    runs = [run for group in curve.budgets.values() for run in group.results]
    sizes = [dict.fromkeys(map(str, found)) for found in ([run.rows["test"] for run in runs], _seeds(curve))]
    metric = next((run.headline for run in runs if run.headline), MISSING)
    return (*curve.names, *(", ".join(each) for each in sizes), metric, *(_cell(curve, cap) for cap in caps))


def _seeds(curve: Curve) -> list[int]:
    return [len(group.results) for group in curve.budgets.values()]


def _cell(curve: Curve, cap: int | None) -> str:
    group = curve.budgets.get(cap)
    runs = group.results if group is not None else ()
    ends = [run.status for run in runs if run.status != "done"]
    if not runs or ends:
        return ends[0] if ends else MISSING
    return percent(estimate(System(name=curve.label, runs=runs)))


def _rows_of_caps(every: Sequence[Curve], caps: Sequence[int | None]) -> Iterator[str]:
    """How many training rows a cap comes to: of a small class all it has. Controls have their recipe's."""
    names = dict.fromkeys(curve.names[0] for curve in every)
    for name in (each for each in names if not named_after(each, names)):
        sizes = {}
        for curve in (each for each in every if each.names[0] == name):
            sizes |= {cap: group.results[0].rows["train"] for cap, group in curve.budgets.items() if group.results}
        said = ", ".join(f"{_said(cap)} {sizes[cap]}" for cap in caps if cap in sizes)
        yield f"{name}, training rows: {said}"


def _overtaken(every: Sequence[Curve], caps: Sequence[int | None]) -> Iterator[str]:
    """Which of two methods leads at the fewest and at the most labels, and in between where that changes."""
    pairs = [pair for one, other in itertools.combinations(every, 2) if len((pair := _pair(one, other, caps)).both) > 1]
    judged = [{cap: judge(both)[0] for cap, both in pair.both.items()} for pair in pairs]
    counted = iter(paired.holm([each.p for found in judged for each in found.values()]))
    sure = [
        {cap: each.ours for cap, each in found.items() if next(counted) < paired.LEVEL and each.kind != "equivalent"}
        for found in judged
    ]
    for pair, better in zip(pairs, sure, strict=True):
        yield f"{pair.one.label} and {pair.other.label}: {pair.leads}; {_where(better)}"
    if count := sum(len(found) for found in judged):
        yield f"“better” holds for all {count} comparisons of two rows in a column together (Holm 1979)"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two curves over the same rows, the first ahead at the most."""

    one: Curve
    other: Curve
    both: dict[int | None, tuple[System, System]]  # where a verdict can be made

    @property
    def leads(self) -> str:
        rows = [ours.runs[0].rows["train"] for ours, _ in self.both.values()]
        every = in_common([system for pair in self.both.values() for system in pair])
        ours, theirs = ([right(system) for system in every[side::2]] for side in (0, 1))
        found = crossover(rows, ours, theirs)
        return _from(self.one.label, found.value, found.low, found.high)


def _pair(one: Curve, other: Curve, caps: Sequence[int | None]) -> Pair:
    systems = {cap: (one.system(cap), other.system(cap)) for cap in caps}
    both = {
        cap: (a, b)
        for cap, (a, b) in systems.items()
        if a and b and alike(a) == alike(b) and a.runs[0].rows["train"] == b.runs[0].rows["train"]
    }
    if both and estimate((last := list(both.values())[-1])[0]).value < estimate(last[1]).value:
        return Pair(one=other, other=one, both={cap: (b, a) for cap, (a, b) in both.items()})
    return Pair(one=one, other=other, both=both)


def alike(system: System) -> Alike:
    """What curves must share to be compared: the test rows, what they are of, and the score."""
    first = system.runs[0]
    return str(rows_of(system)), first.data["sha256"] or "", first.headline


def _where(better: dict[int | None, str]) -> str:
    """Of each that is better somewhere, with how many labels a class."""
    found = {name: [_said(cap) for cap, each in better.items() if each == name] for name in better.values()}
    told = [f"{name} is better with {', '.join(caps)} labels a class" for name, caps in found.items()]
    return " and ".join(told) or "nowhere shown to be better"


def _from(leader: str, value: float, low: float, high: float) -> str:
    if value == high == 0:
        return f"{leader} leads throughout"
    at, start, end = map(_count, (value, low, high))
    return f"{leader} leads from {at} training rows on (95 % interval {start} to {end})"


def _count(count: float) -> str:
    return "the fewest" if count == 0 else "beyond the most" if math.isinf(count) else f"{count:.0f}"
