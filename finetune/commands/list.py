"""list what one can choose from: recipes, methods, attentions, augmentations, data, tasks, tables, studies, engines"""

from __future__ import annotations

import argparse
from typing import Any

from finetune import catalog
from finetune.commands import Command

# where each is chosen
CHOSEN = {
    "recipes": "finetune run RECIPE",
    "methods": "--method METHOD",
    "attentions": "--attention ATTENTION",
    "augmentations": "augmentation=… in a recipe file",
    "data": "data=… in a recipe file",
    "tasks": "task=… in a recipe file",
    "tables": "finetune table TABLE",
    "studies": "finetune study STUDY",
    "engines": "finetune compare … --on ENGINE",
}


class List(Command):
    example = "finetune list methods"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "section", metavar="SECTION", nargs="?", choices=catalog.SECTIONS, help=f"{', '.join(catalog.SECTIONS)}"
        )

    def run(self, given: Any) -> int:
        if given.section:
            _show(catalog.section(given.section))
            return 0
        for name in catalog.SECTIONS:
            print("\n" * (name != catalog.SECTIONS[0]) + f"{name} ({CHOSEN[name]})")
            _show(catalog.section(name), "  ")
        return 0


def _show(summaries: dict[str, str], indent: str = "") -> None:
    width = max(map(len, summaries))
    for name, summary in summaries.items():
        print(f"{indent}{name:<{width}}  {summary}")
