"""Which numbers of a benchmark table are reproduced: each row held against the published or earlier number of its kind.

From result records alone. Shares, S seeds, N test items.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from finetune.benchmark import BenchmarkTable, Published, Row
from finetune.report.groups import Group, fits, groups
from finetune.report.tables import MISSING, Table
from finetune.result import Result
from finetune.stats import spread
from finetune.system import stacked
from finetune.variance import crossed_error
from finetune.verdict import signed

ERRORS = 2  # standard errors that a number may be off, beside the deviation over seeds
NOT_RUN = "not run"  # why a row is open
WIDE = 2 * 1.96  # standard errors in a 95 % interval
HEADER = ("row", "outcome", "score", "value %", "reference %", "points apart", "tolerance", "source")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the runs of a row came to."""

    score: str
    value: float  # mean over seeds
    deviation: float | None  # over seeds; of one there is none
    error: float | None  # over test items and seeds; None: one item has none
    n: int
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What it is held against."""

    low: float
    high: float  # above `low` where a range was published
    deviation: float | None
    error: float | None
    source: str

    @property
    def percent(self) -> str:
        return f"{100 * self.low:.2f}" + (f" to {100 * self.high:.2f}" if self.high > self.low else "")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a row stands to its reference; an open one has nothing to say."""

    row: str
    kind: Literal["reproduced", "missed", "open"]
    measured: Measured | None = None  # None: there is no score
    reference: Reference | None = None
    why: str = ""  # there are not both

    @property
    def apart(self) -> float:
        """From the nearer end of what was published; within a range nothing."""
        assert self.measured is not None
        assert self.reference is not None
        return self.measured.value - min(max(self.measured.value, self.reference.low), self.reference.high)

    @property
    def sentence(self) -> str:
        """For people, with the numbers it rests on."""
        if self.measured is None or self.reference is None:
            return f"{self.row}: {self.why}"
        error, seeds = _widths(self.measured, self.reference)
        verb = "reproduces" if self.kind == "reproduced" else "does not reproduce"
        score = f"{self.measured.score} {100 * self.measured.value:.2f} %"
        within = f"tolerance {100 * (ERRORS * error + seeds):.2f}: {ERRORS} standard errors of {100 * error:.2f}"
        return (
            f"{self.row}: {score} {verb} {self.reference.percent} % ({self.reference.source}): "
            f"{signed(self.apart)} points, {within}, seeds {100 * seeds:.2f}"
        )


def measured(runs: Sequence[Result], score: str = "") -> Measured | None:
    """The score of that name, or the headline; None where there is no run or one came to no such score."""
    name = score or (runs[0].headline if runs else "")
    if not runs or any(run.status != "done" or name not in run.scores for run in runs):
        return None
    over = spread([run.scores[name].value for run in runs])
    error = _error(runs, name, over.deviation)
    n = runs[0].scores[name].n
    return Measured(score=name, value=over.mean, deviation=over.deviation, error=error, n=n, seeds=over.n)


def runs_of(row: Row, found: Iterable[Group]) -> tuple[Result, ...]:
    return next((group.results for group in found if fits(group, row.names, row.settings)), ())


def outcomes(table: BenchmarkTable, results: Iterable[Result], earlier: Iterable[Result] = ()) -> list[Outcome]:
    """Every row against each published number that it is to reproduce, or where there is none against its own record.

    Args:
        earlier: the records of this table from before.
    """
    now, then = groups(results), groups(earlier)
    found = []
    for benchmark in table.benchmarks:
        for row in benchmark.rows:
            name, runs, before = table.name(row), runs_of(row, now), runs_of(row, then)
            if not runs:
                found.append(Outcome(row=name, kind="open", why=NOT_RUN))
            elif published := benchmark.references(row):
                found += [_held(name, runs, each.score, _published(each)) for each in published]
            else:
                found.append(_against_record(name, runs, before))
    return found


def checks(outcomes: Sequence[Outcome]) -> Table:
    """A row for each outcome."""
    count = {kind: sum(each.kind == kind for each in outcomes) for kind in ("reproduced", "missed", "open")}
    notes = (
        ", ".join(f"{number} {kind}" for kind, number in count.items()),
        f"reproduced is within {ERRORS} standard errors of the less certain number and the larger deviation over seeds",
    )
    return Table(HEADER, tuple(map(_row, outcomes)), notes)


def _row(outcome: Outcome) -> tuple[str, ...]:
    found, reference = outcome.measured, outcome.reference
    if found is None or reference is None:
        return (outcome.row, outcome.kind, *[MISSING] * 5, outcome.why)
    error, seeds = _widths(found, reference)
    return (
        outcome.row,
        outcome.kind,
        found.score,
        f"{100 * found.value:.2f}",
        reference.percent,
        signed(outcome.apart),
        f"{100 * (ERRORS * error + seeds):.2f}",
        reference.source,
    )


def _against_record(name: str, runs: Sequence[Result], before: Sequence[Result]) -> Outcome:
    """Of the same row: our own earlier number."""
    found = measured(before)
    if found is None:
        return Outcome(row=name, kind="open", why="nothing to reproduce: no published number and no earlier record")
    if [_run(run) for run in runs] == [_run(run) for run in before]:
        why = "the record itself: another machine, or without the run folders, makes it again"
        return Outcome(row=name, kind="open", why=why)
    then, now = ({run.data["sha256"] for run in side} for side in (before, runs))
    if then != now:
        why = (
            f"our record is of other data (sha256 {_sums(then)}, now {_sums(now)}), so nothing of it is reproduced; "
            "`finetune table … --save` writes another"
        )
        return Outcome(row=name, kind="missed", why=why)
    reference = Reference(
        low=found.value, high=found.value, deviation=found.deviation, error=found.error, source="our record"
    )
    return _held(name, runs, found.score, reference)


def _run(run: Result) -> tuple[str, dict[str, float]]:
    """What no two runs share: what was computed, and how long that took."""
    return run.fingerprint, dict(run.seconds)


def _sums(found: set[str]) -> str:
    return " and ".join(sha256[:8] for sha256 in sorted(found))


def _held(name: str, runs: Sequence[Result], score: str, reference: Reference) -> Outcome:
    found = measured(runs, score)
    if found is None:
        lost = sum(run.status != "done" for run in runs)
        why = f"{lost} of {len(runs)} runs came to no score" if lost else f"its runs have no {score}"
        return Outcome(row=name, kind="missed", why=f"{why}, so {reference.percent} % is not reproduced")
    error, seeds = _widths(found, reference)
    off = max(reference.low - found.value, found.value - reference.high)
    kind = "reproduced" if off <= ERRORS * error + seeds else "missed"
    return Outcome(row=name, kind=kind, measured=found, reference=reference)


def _widths(found: Measured, reference: Reference) -> tuple[float, float]:
    """The standard error of the less certain number, and the larger deviation over seeds."""
    return max(found.error or 0.0, reference.error or 0.0), max(found.deviation or 0.0, reference.deviation or 0.0)


def _published(each: Published) -> Reference:
    high = each.value if each.high is None else each.high
    return Reference(low=each.value, high=high, deviation=each.deviation, error=each.error, source=each.source)


def _error(runs: Sequence[Result], name: str, deviation: float | None) -> float | None:
    """From which examples were right, where the records keep that; else from the interval over items."""
    kept = [run.items for run in runs if run.items is not None and run.headline == name]
    if len(kept) == len(runs) and len({items.ids for items in kept}) == 1 and kept[0].n > 1:
        return crossed_error(stacked(runs))
    estimate = runs[0].scores[name]
    if estimate.low is None or estimate.high is None:
        return None
    return math.sqrt(((estimate.high - estimate.low) / WIDE) ** 2 + (deviation or 0.0) ** 2 / len(runs))
