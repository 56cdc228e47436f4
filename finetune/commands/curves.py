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
        commands.takes_figure(parser)
        commands.takes_save(parser)
        commands.takes_format(parser)
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        from finetune.report.training import Trained, training

        commands.check_save(given)
        commands.check_figure(given)
        commands.publish(training([Trained.read(Path(folder)) for folder in given.folders]), given, given.save)
        return 0
