"""draw which words of a source each word of its translation looks at"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError


class Align(Command):
    example = 'finetune align outputs/numbers_es/scratch-seed0-* "treinta y dos mil"'

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("folder", metavar="FOLDER", help="of a finished run of an encoder–decoder from scratch")
        parser.add_argument("input", metavar="INPUT", help="a text to be translated")
        parser.add_argument(
            "--layer", help="its number from 1, or all: the mean of each one's heads (default: the last)"
        )
        parser.add_argument("--save", metavar="FILE", help="a .png or .svg (default: a .png in OUT/figures)")
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        from tabulate import tabulate

        from finetune.alignment import align
        from finetune.predict import load
        from finetune.report import figures
        from finetune.report.grounds import Between

        if not given.input.strip():
            raise InputError(f"INPUT is empty, and nothing in it to translate: got {given.input!r}")
        if given.save is not None:
            figures.check_ending(Path(given.save))
        predictor = load(given.folder, progress=commands.progress())
        found = align(predictor, given.input)
        name = f"{predictor.recipe.name}-alignment.png"
        path = Path(given.save or Path(given.out, "figures", name))
        panels, facts = found.panels(given.layer), found.facts(given.layer)
        title = f"What {predictor.recipe.name} looks at"
        cut = "; the source was cut to the tokens below" if found.truncated else ""
        figure = figures.alignment(
            Between(found.written, found.source),
            panels,
            title=title,
            below=f"rows, what is written, look at columns, what was read{cut}",
        )
        print(f"{title} in {given.input}{cut}\n")
        print(tabulate(facts, ("writes", "looks most at", "weight %"), disable_numparse=True))
        figures.save(figure, path)
        print(f"\ndrawn in {path}")
        return 0
