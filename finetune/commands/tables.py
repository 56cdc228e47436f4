"""print saved tables again, from their records and without a model"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command

if TYPE_CHECKING:
    from finetune.report.tables import Table

ELSEWHERE = "elsewhere"


class Tables(Command):
    """A recipe that failed left no record, so its row of dashes is not made again."""

    example = "finetune tables compare --format latex"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", metavar="NAME", nargs="+", help="what `compare --save NAME` wrote")
        parser.add_argument(
            "--save", action="store_true", help="also write OUT/tables/NAME.md, .csv and .tex again, from NAME.json"
        )
        commands.takes_layout(parser, (ELSEWHERE, "what `elsewhere --save NAME` wrote"))
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        folder = Path(given.out) / "tables"
        tables = {name: _made(given, folder, name) for name in given.names}
        for number, (name, made) in enumerate(tables.items()):
            print("\n" * bool(number) + getattr(made, given.format)())
            if given.save:
                made.save(folder, name)
        return 0


def _made(given: Any, folder: Path, name: str) -> Table:
    from finetune.report import records

    if given.by == ELSEWHERE:
        from finetune.report.shifts import shifts
        from finetune.shift import Shift

        return shifts(records.read(folder, name, Shift))
    return commands.layout(given)(records.read(folder, name))
