"""say which rows of saved tables are better, equivalent or undecided"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from finetune import commands
from finetune.commands import Command


class Verdict(Command):
    example = "finetune verdict compare --margin 2"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "names", metavar="NAME", nargs="+", help="what `compare --save NAME` wrote; judged together"
        )
        parser.add_argument(
            "--margin", type=float, default=1.0, help="points within which two are taken for equals (default: 1)"
        )
        commands.takes_format(parser)
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        from finetune.report import records
        from finetune.report.verdicts import verdicts

        folder = Path(given.out) / "tables"
        runs = [run for name in given.names for run in records.read(folder, name)]
        print(getattr(verdicts(runs, given.margin / 100), given.format)())
        return 0
