"""run recipes with several methods and seeds, and print the table"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from finetune.grid import Comparison
    from finetune.progress import Silent
    from finetune.recipe import Recipe
    from finetune.report.tables import Table


class Compare(Command):
    example = "finetune compare bert_r8 gpt_reviews --methods frozen,lora,full --seeds 3 --rows 600"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        commands.takes_variants(parser)
        commands.takes_seeds(parser)
        parser.add_argument(
            "--trials",
            type=int,
            metavar="N",
            help="try N settings of each method first, each method's own, and compare those that do best on the "
            "validation rows; only then look at the test rows; each is also trained at the best learning rate of the "
            "others, for --by rate",
        )
        parser.add_argument(
            "--draws",
            type=int,
            default=1,
            metavar="N",
            help="with N draws of the training rows that --rows or --labels leaves, as other rows could have been "
            "labelled; --by variance tells what that matters beside seeds and test rows",
        )
        parser.add_argument(
            "--labels",
            metavar="8,64,all",
            help="with so many labels of each class, one after the other; best with --by labels, and with "
            "--set budget.least_updates=150, or few labels mean few updates",
        )
        commands.takes_controls(parser, "; and one run made twice, which must come out alike")
        commands.takes_layout(parser)
        commands.takes_save(parser)
        where = parser.add_mutually_exclusive_group()
        commands.takes_processes(where)
        commands.takes_engine(where)
        commands.takes_out(parser)
        commands.takes_settings(parser, " (leaves variants without the field as they are)")

    def run(self, given: Any) -> int:
        from finetune import grid

        commands.check_save(given)
        progress = commands.progress()
        recipes = commands.variants(given, progress)
        if given.labels is not None:
            recipes = grid.labels(recipes, given.labels)
        comparison = _compared(recipes, given, progress)
        progress.say(commands.where(comparison, given.out))
        if commands.first():
            tables = _tables(comparison, given)
            print("\n\n".join(commands.written(table, given.format) for table in tables.values()))
            if given.save:
                save(tables, comparison, Path(given.out) / "tables", given.save)
        return commands.ending(comparison)


def _compared(recipes: list[Recipe], given: Any, progress: Silent) -> Comparison:
    from finetune import grid
    from finetune.controls import again, controls
    from finetune.tuning import opened, tune

    engine, found = commands.engine(given), None
    if given.trials is not None:
        found = tune(recipes, given.trials, out=given.out, progress=progress, engine=engine)
    recipes = recipes if found is None else list(found.recipes)
    drawn = grid.draws(recipes, given.draws)
    every = grid.seeds([*drawn, *(controls(recipes) if given.controls else [])], given.seeds)
    every += again(recipes) if given.controls else []
    comparison = grid.compare(every, out=given.out, progress=progress, engine=engine)
    if found is None:
        return comparison
    return replace(
        comparison,
        results=opened(comparison.results, found.chosen, given.out) if commands.first() else comparison.results,
        failures=(*found.failures, *comparison.failures),
        trials=found.trials,
    )


def _tables(comparison: Comparison, given: Any) -> dict[str, Table]:
    """What was asked for, and what the choice was made of, by what their files are called after the name."""
    from finetune.report.layers import layers
    from finetune.report.shared import shared
    from finetune.report.trials import trials

    more = {"-trials": trials, "-rates": shared, "-layers": layers} if comparison.trials else {}
    found = {"": commands.layout(given)} | more
    tables = {ending: comparison.table(layout) for ending, layout in found.items()}
    return {ending: table for ending, table in tables.items() if table.rows or not ending}


def save(tables: Mapping[str, Table], comparison: Comparison, folder: Path, name: str) -> None:
    """The tables in every format that is kept, and the records behind them."""
    from finetune.report import records

    for ending, table in tables.items():
        table.save(folder, f"{name}{ending}")
    records.write((*comparison.results, *comparison.trials), folder, name)
