"""run recipes with several methods and seeds, and print the table"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command

if TYPE_CHECKING:
    from finetune.grid import Comparison
    from finetune.report.tables import Table


class Compare(Command):
    example = "finetune compare bert_r8 gpt_reviews --methods frozen,lora,full --seeds 3 --rows 600"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        commands.takes_variants(parser)
        commands.takes_seeds(parser)
        parser.add_argument(
            "--controls",
            action="store_true",
            help="also what is to be beaten: the majority's label, inputs without a backbone, backbones with random "
            "weights, and shuffled labels",
        )
        commands.takes_layout(parser)
        commands.takes_save(parser)
        commands.takes_out(parser)
        commands.takes_settings(parser, " (leaves variants without the field as they are)")

    def run(self, given: Any) -> int:
        from finetune import grid

        commands.check_save(given)
        progress = commands.progress()
        recipes = commands.variants(given, progress)
        if given.controls:
            from finetune.controls import controls

            recipes += controls(recipes)
        recipes = grid.seeds(recipes, given.seeds)
        comparison = grid.compare(recipes, out=given.out, progress=progress)
        progress.say(commands.where(comparison, given.out))
        if commands.first():
            table = comparison.table(commands.layout(given))
            print(getattr(table, given.format)())
            if given.save:
                save(table, comparison, Path(given.out) / "tables", given.save)
        for failure in comparison.failures:
            print(f"finetune: {failure.recipe.label}: {failure.reason}", file=sys.stderr)
        if comparison.failures:
            return 2
        return 0 if all(result.status == "done" for result in comparison.results) else 1


def save(table: Table, comparison: Comparison, folder: Path, name: str) -> None:
    """The table in every format that is kept, and the records behind it."""
    from finetune.report import records

    table.save(folder, name)
    records.write(comparison.results, folder, name)
