"""prove that a swapped attention is in the checkpoint, and right"""

from __future__ import annotations

import argparse
from typing import Any

from finetune import commands
from finetune.commands import Command


class Certify(Command):
    example = "finetune certify bert_r8 --attention multihead"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        commands.takes_recipe(parser)
        commands.takes_attention(parser)
        commands.takes_settings(parser)

    def run(self, given: Any) -> int:
        from finetune.certify import certify

        recipe = commands.recipe(given, given.recipe, None, given.attention)
        checks = certify(recipe, progress=commands.progress())
        width = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{'pass' if check.passed else 'FAIL'}  {check.name:<{width}}  {check.measured}")
        failed = sum(not check.passed for check in checks)
        print(f"{len(checks) - failed} of {len(checks)} checks passed: {recipe.attention_name} in {recipe.name}")
        return 1 if failed else 0
