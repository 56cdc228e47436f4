"""tell what recipes will take, before they run: time, memory by cause, disk"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError


class Plan(Command):
    example = "finetune plan bert_r8 --methods frozen,lora,full"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        commands.takes_variants(parser)
        commands.takes_format(parser)
        commands.takes_settings(parser, " (leaves variants without the field as they are)")

    def run(self, given: Any) -> int:
        from finetune.plan import plan
        from finetune.report.forecasts import forecasts
        from finetune.session import Shelf

        progress, shelf = commands.progress(), Shelf()
        recipes = commands.variants(given, progress)
        found, failed = [], False
        for number, recipe in enumerate(recipes, 1):
            progress.run(number, len(recipes), recipe.variant)
            try:
                found.append(plan(recipe, progress=progress, shelf=shelf))
            except InputError as error:
                print(f"finetune: {recipe.variant}: {error}", file=sys.stderr)
                failed = True
        if found and commands.first():
            print(commands.written(forecasts(found), given.format))
        return 2 if failed else 0
