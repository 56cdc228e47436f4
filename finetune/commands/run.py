"""run one recipe"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command

if TYPE_CHECKING:
    from finetune.result import Result


class Run(Command):
    example = "finetune run bert_r8 --method lora --seed 1 --set method.rank=16"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        commands.takes_recipe(parser)
        commands.takes_method(parser)
        parser.add_argument("--seed", type=int, help="of the head's first weights, batches, augmentation and dropout")
        commands.takes_attention(parser)
        commands.takes_processes(parser)
        commands.takes_out(parser)
        commands.takes_settings(parser)

    def run(self, given: Any) -> int:
        from finetune.execute import run
        from finetune.report.tables import table

        recipe = commands.recipe(given, given.recipe, given.method, given.attention)
        if given.seed is not None:
            recipe = replace(recipe, seed=given.seed)
        progress = commands.progress()
        progress.run(1, 1, recipe.label)
        result = run(recipe, out=given.out, progress=progress)
        progress.say(_where(result))
        if commands.first():
            print(commands.written(table([result]), "terminal"))
        return 0 if result.status == "done" else 1


def _where(result: Result) -> str:
    if result.before is None:
        return f"wrote {result.folder}"
    return f"done before, {result.before:%Y-%m-%d %H:%M}: {result.folder}; delete the folder to run it again"
