"""say which rows of saved tables are better, equivalent or undecided"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from finetune import commands
from finetune.commands import Command


class Verdict(Command):
    example = "finetune verdict compare --margin 2 --minutes 1"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "names", metavar="NAME", nargs="+", help="what `compare --save NAME` wrote; judged together"
        )
        parser.add_argument(
            "--margin", type=float, default=1.0, help="points within which two are taken for equals (default: 1)"
        )
        parser.add_argument(
            "--minutes",
            type=float,
            help="also say which is best, by validation rows, of those that train no longer; machine by machine",
        )
        parser.add_argument("--saved-mb", type=float, help="the same of those whose trained part takes no more disk")
        parser.add_argument("--trained", type=int, help="the same of those that train no more parameters")
        commands.takes_format(parser)
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        from finetune.choice import Limits
        from finetune.report import records
        from finetune.report.verdicts import verdicts

        folder = Path(given.out) / "tables"
        runs = [run for name in given.names for run in records.read(folder, name)]
        limits = Limits(minutes=given.minutes, saved_mb=given.saved_mb, trained=given.trained)
        print(commands.written(verdicts(runs, given.margin / 100, limits), given.format))
        return 0
