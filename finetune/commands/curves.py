"""draw how training went: loss by update of finished runs, the mean over their seeds"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from finetune import commands
from finetune.commands import Command


class Curves(Command):
    """Runs that differ in nothing but the seed are one line with its interval."""

    example = "finetune curves outputs/numbers_es/scratch-* --figure outputs/figures/curves.png"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "folders", metavar="FOLDER", nargs="+", help="of finished runs that were trained by updates"
        )
        parser.add_argument("--figure", metavar="FILE", help="also draw it as a .png or .svg")
        commands.takes_save(parser)
        commands.takes_format(parser)
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        from finetune.report import records
        from finetune.report.studies import study
        from finetune.report.training import Trained, training

        commands.check_save(given)
        if given.figure:
            from finetune.report import figures

            figures.check_ending(Path(given.figure))
        points = training([Trained.read(Path(folder)) for folder in given.folders])
        table = study(points)
        print(commands.written(table, given.format))
        if given.save:
            folder = Path(given.out) / "tables"
            table.save(folder, given.save)
            records.write([points], folder, given.save)
        if given.figure:
            from finetune.report import curves, figures

            figures.save(curves.studied(points), Path(given.figure))
            print(f"drawn: {given.figure}")
        return 0
