"""list the recipes"""

from __future__ import annotations

import argparse
from typing import Any

from finetune import catalog
from finetune.commands import Command


class List(Command):
    example = "finetune list"

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, given: Any) -> int:
        summaries = catalog.summaries()
        width = max(map(len, summaries))
        for name, summary in summaries.items():
            print(f"{name:<{width}}  {summary}")
        return 0
