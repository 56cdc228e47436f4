"""print saved tables again, from their records and without a model"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from finetune.result import Result


DRAWN = {"trial": "rates", "layer": "layers", "labels": "budgets"}  # what is drawn of a layout


class Tables(Command):
    """A recipe that failed left no record, so its row of dashes is not made again."""

    example = "finetune tables compare --format latex"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", metavar="NAME", nargs="+", help="what `compare --save NAME` wrote")
        parser.add_argument(
            "--save", action="store_true", help="also write OUT/tables/NAME.md, .csv and .tex again, from NAME.json"
        )
        parser.add_argument(
            "--figure",
            metavar="FILE",
            help="also draw the first as a .png or .svg: scores over learning rates (--by trial), layers (--by layer) "
            "or training rows (--by labels)",
        )
        commands.takes_layout(parser)
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        from finetune.report import records

        table = commands.layout(given)
        folder = Path(given.out) / "tables"
        tables = {name: table(records.read(folder, name)) for name in given.names}
        for number, (name, made) in enumerate(tables.items()):
            print("\n" * bool(number) + getattr(made, given.format)())
            if given.save:
                made.save(folder, name)
        if given.figure:
            _draw(records.read(folder, given.names[0]), given.by, Path(given.figure))
        return 0


def _draw(results: Sequence[Result], by: str, path: Path) -> None:
    if by not in DRAWN:
        raise InputError(f"--figure draws a table by {', '.join(DRAWN)}, got --by {by}")
    from finetune.report import curves, figures

    figures.check_ending(path)
    figures.save(getattr(curves, DRAWN[by])(results), path)
    print(f"drawn: {path}")
