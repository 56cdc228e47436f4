"""A benchmark table: our rows, and what others published beside them, with n, standard error and source of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from finetune.benchmark import Benchmark, BenchmarkTable, Published, Row
from finetune.report.groups import Failed, Group, groups
from finetune.report.labels import labels
from finetune.report.lengths import lengths
from finetune.report.notes import held_out, intervals, notes
from finetune.report.recovery import recovery
from finetune.report.reproduction import NOT_RUN, measured, outcomes, runs_of
from finetune.report.tables import MISSING, Table, score_cells, without_idle
from finetune.result import Result

HEADER = (
    "data",
    "system",
    "method",
    "attention",
    "settings",
    "train rows",
    "test rows",
    "seeds",
    "score",
    "value %",
    "± seeds",
    "standard error",
    "95 % interval",
    "source",
)


def beside(table: BenchmarkTable, results: Iterable[Result], failed: Iterable[Failed] = ()) -> Table:
    """A row for each of ours, run or not, and for each published number; or the layout by attention, labels or length.

    Of a row that was not run every number is a dash.

    Args:
        results: of its rows; others are left out.
        failed: runs that came to no result; notes tell of them.
    """
    known, failed = groups(results), list(failed)
    results = [run for row in table.rows for run in runs_of(row, known)]
    if table.by != "method":
        made = {"attention": recovery, "labels": labels, "length": lengths}[table.by](results, failed)
    else:
        found = groups(results, failed)
        rows = tuple(row for each in table.benchmarks for row in _rows(each, found))
        made = without_idle(Table(HEADER, rows, (*intervals(found), *notes(found))))
    told = outcomes(table, results)
    every = {each.row: each.why for each in told}
    missing = sum(why == NOT_RUN for why in every.values())
    lines = [f"{each.data}: {note}" for each in table.benchmarks for note in each.notes]
    lines += [*held_out(results), *(each.sentence for each in told if each.kind != "open")]
    lines += [f"open: {missing} of {len(every)} rows were not run"] if missing else []
    fewer = [
        f"{table.name(row)} {n} of {row.seeds}" for row in table.rows if 0 < (n := len(runs_of(row, known))) < row.seeds
    ]
    lines += [f"fewer seeds than the table asks for: {', '.join(fewer)}"] if fewer else []
    return replace(made, notes=(*made.notes, *lines))


def _rows(benchmark: Benchmark, found: Sequence[Group]) -> list[tuple[str, ...]]:
    ours = [_ours(benchmark, row, runs_of(row, found)) for row in benchmark.rows]
    return ours + [_theirs(benchmark.data, each) for each in benchmark.published]


def _ours(benchmark: Benchmark, row: Row, runs: Sequence[Result]) -> tuple[str, ...]:
    named = (benchmark.data, *row.names, " ".join(row.settings) or MISSING)
    wanted = " and ".join(f"{each.score} {_percent(each)} %" for each in benchmark.references(row))
    source = f"ours, to reproduce {wanted}" if wanted else "ours"
    if not runs:
        return (*named, *[MISSING] * 8, source)
    score, value, deviation, interval = score_cells(runs, [run for run in runs if run.status == "done"], digits=2)
    found = measured(runs)
    counts = (str(runs[0].rows["train"]), str(runs[0].rows["test"]), str(len(runs)))
    return (*named, *counts, score, value, deviation, _points(found and found.error), interval, source)


def _theirs(data: str, published: Published) -> tuple[str, ...]:
    return (
        data,
        published.system,
        *[MISSING] * 4,
        _count(published.n),
        _count(published.seeds),
        published.score,
        _percent(published),
        _points(published.deviation),
        _points(published.error),
        MISSING,
        published.source,
    )


def _percent(published: Published) -> str:
    top = "" if published.high is None else f" to {100 * published.high:.2f}"
    return f"{100 * published.value:.2f}{top}"


def _points(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.2f}"


def _count(number: int | None) -> str:
    return MISSING if number is None else str(number)
