"""show a recipe with all defaults, as JSON"""

from __future__ import annotations

import argparse
import json
from typing import Any

from finetune import commands
from finetune.commands import Command


class Show(Command):
    example = "finetune show bert_r8 --method lora"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        commands.takes_recipe(parser)
        commands.takes_method(parser)
        commands.takes_attention(parser)
        commands.takes_settings(parser)

    def run(self, given: Any) -> int:
        print(json.dumps(commands.recipe(given, given.recipe, given.method, given.attention).to_json(), indent=2))
        return 0
