"""run a benchmark table and print it beside the published numbers, or check that its numbers are reproduced"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import catalog, commands
from finetune.commands import Command
from finetune.errors import InputError

if TYPE_CHECKING:
    from finetune.benchmark import BenchmarkTable, Row
    from finetune.grid import Comparison
    from finetune.progress import Silent
    from finetune.recipe import Recipe
    from finetune.result import Result


class Table(Command):
    example = "finetune table topics --recorded"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "table",
            metavar="TABLE",
            help="a name of `finetune list tables`, or of a test set that has published numbers in one, as r8 in "
            "topics, whose records it has until it is saved by itself; or a .py file of yours with a `table`",
        )
        parser.add_argument(
            "--recorded", action="store_true", help="run nothing: only the records of OUT/tables/TABLE.json, no model"
        )
        parser.add_argument(
            "--missing",
            action="store_true",
            help="run only what OUT/tables/TABLE.json has no record of; what it has is taken as it is, also from "
            "another machine",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="hold each row against the published number that it reproduces, else against OUT/tables/TABLE.json; "
            "exit code 1 where one is beyond two standard errors and the deviation over seeds",
        )
        parser.add_argument(
            "--save",
            action="store_true",
            help="also write the table as OUT/tables/TABLE.md, .csv and .tex, and what was run as TABLE.json",
        )
        commands.takes_engine(parser)
        commands.takes_format(parser)
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        if given.missing and (given.check or given.recorded):
            raise InputError("--missing takes records for results; give --check or --recorded without it")
        if given.check and given.save:
            raise InputError("--check holds runs against the records that --save would replace; give one of the two")
        if given.recorded and given.on != "here":
            raise InputError(f"--recorded runs nothing, and --on {given.on} says where; give one of the two")
        table = catalog.table(given.table)
        folder, name = Path(given.out) / "tables", catalog.saved_as(given.table)
        earlier = _records(folder, name) or _records(folder, catalog.whole_table(given.table))
        if not earlier and (given.recorded or (given.check and not _reproduces(table))):
            _tell_missing(folder / f"{name}.json", given)
        comparison = None if given.recorded else _compare(table, given, earlier if given.missing else [])
        results = earlier if comparison is None else comparison.results
        code = 0 if comparison is None else commands.ending(comparison)
        if not commands.first():
            return code
        if given.check:
            return max(code, _check(table, results, earlier, given.format))
        _show(table, results, comparison, given, folder / name)
        return code


def recipes(table: BenchmarkTable, progress: Silent) -> list[Recipe]:
    """Every run of the table, in the order of its rows.

    Raises:
        InputError: something that it names is not known, or none of its recipes has the field of a setting.
    """
    from finetune import grid

    found = []
    for runs in (runs for benchmark in table.benchmarks for runs in benchmark.runs):
        for settings, rows in itertools.groupby(runs.rows, key=lambda row: row.settings):
            variants = [_variant(row) for row in rows]
            found += grid.seeds(grid.settle(variants, settings, progress), runs.seeds)
    twice = next((recipe for recipe, times in Counter(found).items() if times > 1), None)
    if twice is not None:
        raise InputError(
            f"table has two rows {twice.label} that come to the same runs: what sets them apart is no field of it; "
            "give it runs of its own"
        )
    return found


def _variant(row: Row) -> Recipe:
    from finetune.controls import control

    found = commands.variant(row.recipe, row.method, row.attention)
    if found.name != row.of:
        raise InputError(f"{row.recipe} holds a recipe named {found.name!r}; call the file {found.name}.py")
    return found if row.control is None else control(found, row.control)


def _compare(table: BenchmarkTable, given: Any, known: list[Result]) -> Comparison:
    from finetune import grid

    progress, engine = commands.progress(), commands.engine(given)
    every = recipes(table, progress)
    comparison = grid.compare(every, out=given.out, progress=progress, known=known, engine=engine)
    progress.say(commands.where(comparison, given.out))
    return comparison


def _records(folder: Path, name: str) -> list[Result]:
    """Those of the saved table; none where nobody saved it."""
    from finetune.report import records

    return records.read(folder, name) if (folder / f"{name}.json").is_file() else []


def _reproduces(table: BenchmarkTable) -> bool:
    """Whether there is a published number that a row is to reproduce."""
    return any(benchmark.references(row) for benchmark in table.benchmarks for row in benchmark.rows)


def _tell_missing(path: Path, given: Any) -> None:
    """
    Raises:
        InputError: there is nothing to check.
    """
    told = f"there are no records {path} yet; `finetune table {given.table} --save` makes them"
    if given.check:
        raise InputError(told)
    if commands.first():
        print(f"finetune: {told}", file=sys.stderr)


def _check(table: BenchmarkTable, results: Any, earlier: list[Result], form: str) -> int:
    from finetune.report.reproduction import checks, outcomes

    found = outcomes(table, results, earlier)
    print(commands.written(checks(found), form))
    missed = [each for each in found if each.kind == "missed"]
    for each in missed:
        print(f"finetune: {each.sentence}", file=sys.stderr)
    return int(bool(missed))


def _show(table: BenchmarkTable, results: Any, comparison: Comparison | None, given: Any, place: Path) -> None:
    from finetune.report import records
    from finetune.report.beside import beside

    layout = partial(beside, table)
    made = layout(results) if comparison is None else comparison.table(layout)
    print(commands.written(made, given.format))
    if given.save:
        made.save(place.parent, place.name)
    if given.save and comparison is not None:  # else they are what was read
        records.write(results, place.parent, place.name)
