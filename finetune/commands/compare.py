"""run recipes with several methods and seeds, and print the table"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError

if TYPE_CHECKING:
    from finetune.grid import Comparison

METHODS = "frozen,lora,full"
FORMATS = ("terminal", "markdown", "csv", "latex")


class Compare(Command):
    example = "finetune compare bert_r8 gpt_reviews --methods frozen,lora,full --seeds 3 --rows 600"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "recipes", metavar="RECIPE", nargs="+", help="names of `finetune list`, or .py files of yours"
        )
        parser.add_argument("--methods", default=METHODS, help=f"separated by commas (default: {METHODS})")
        parser.add_argument(
            "--attention", help="separated by commas: stock, multihead, sliding_window, … (default: each recipe's own)"
        )
        parser.add_argument("--seeds", type=int, default=2, help="how many (default: 2)")
        parser.add_argument("--format", choices=FORMATS, default="terminal", help="of the table (default: terminal)")
        parser.add_argument(
            "--save", metavar="NAME", help="also write the table as OUT/tables/NAME.md, .csv, .tex and .json"
        )
        commands.takes_out(parser)
        commands.takes_settings(parser)

    def run(self, given: Any) -> int:
        from finetune import grid

        methods = _listed(given.methods)
        if not methods:
            raise InputError(f"--methods names no method, got {given.methods!r}; for example --methods {METHODS}")
        attentions = _listed(given.attention) if given.attention else [None]
        if given.save is not None and (not given.save.strip() or Path(given.save).name != given.save):
            raise InputError(f"--save takes a name, not a path, got {given.save!r}")
        recipes = [
            commands.recipe(given, *variant) for variant in itertools.product(given.recipes, methods, attentions)
        ]
        comparison = grid.compare(grid.seeds(recipes, given.seeds), out=given.out, progress=commands.progress())
        if commands.first():
            print(getattr(comparison.table(), given.format)())
            if given.save:
                save(comparison, Path(given.out) / "tables", given.save)
        for failure in comparison.failures:
            print(f"finetune: {failure.recipe.label}: {failure.reason}", file=sys.stderr)
        if comparison.failures:
            return 2
        return 0 if all(result.status == "done" for result in comparison.results) else 1


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def save(comparison: Comparison, folder: Path, name: str) -> None:
    """The table in every format that is kept, and the records behind it."""
    from finetune.outputs import write_text, writing

    table = comparison.table()
    records = json.dumps([result.to_json() for result in comparison.results], indent=1)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for ending, text in (("md", table.markdown()), ("csv", table.csv()), ("tex", table.latex()), ("json", records)):
            write_text(folder / f"{name}.{ending}", text + "\n")
