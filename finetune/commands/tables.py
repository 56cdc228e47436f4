"""print saved tables again, from their records and without a model"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError

if TYPE_CHECKING:
    from finetune.report.tables import Table

DRAWN = {
    "trial": "rates",
    "rate": "rated",
    "layer": "layers",
    "labels": "budgets",
    "length": "lengths",
}  # what is drawn of a layout
ELSEWHERE, STUDY = "elsewhere", "study"


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
            help="also draw the first as a .png or .svg: scores over learning rates (of trials --by trial, of other "
            "runs --by rate), layers (--by layer), training rows (--by labels), the length of a source (--by length), "
            "or what was studied (--by study)",
        )
        commands.takes_layout(
            parser,
            (ELSEWHERE, "what `elsewhere --save NAME` wrote"),
            (STUDY, "what `study --save` or `curves --save` wrote"),
        )
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        folder = Path(given.out) / "tables"
        tables = {name: _made(given, folder, name) for name in given.names}
        for number, (name, made) in enumerate(tables.items()):
            print("\n" * bool(number) + commands.written(made, given.format))
            if given.save:
                made.save(folder, name)
        if given.figure:
            _draw(folder, given.names[0], given.by, Path(given.figure))
        return 0


def _draw(folder: Path, name: str, by: str, path: Path) -> None:
    if by not in (*DRAWN, STUDY):
        raise InputError(f"--figure draws a table by {', '.join((*DRAWN, STUDY))}, got --by {by}")
    from finetune.points import Points
    from finetune.report import curves, figures, records

    figures.check_ending(path)
    if by == STUDY:
        figure = curves.studied(records.read(folder, name, Points)[0])
    else:
        figure = getattr(curves, DRAWN[by])(records.read(folder, name))
    figures.save(figure, path)
    print(f"drawn: {path}")


def _made(given: Any, folder: Path, name: str) -> Table:
    from finetune.report import records

    if given.by == ELSEWHERE:
        from finetune.report.shifts import shifts
        from finetune.shift import Shift

        return shifts(records.read(folder, name, Shift))
    if given.by == STUDY:
        from finetune.points import Points
        from finetune.report.studies import study

        return study(records.read(folder, name, Points)[0])
    return commands.layout(given)(records.read(folder, name))
