"""look up the commits of the hub recipes and write them into recipes/pins.json"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any, Literal

from finetune import catalog
from finetune.commands import Command

if TYPE_CHECKING:
    from finetune.recipe import Recipe


class Pin(Command):
    example = "finetune pin bert_sst2"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "names", metavar="RECIPE", nargs="*", help="default: every recipe that names a hub repository"
        )

    def run(self, given: Any) -> int:
        from finetune import hub
        from finetune.outputs import write_text, writing
        from recipes import PINS

        wanted = sorted(
            {key for name in given.names or catalog.summaries() for key in _repositories(catalog.load(name).recipe)}
        )
        pins = json.loads(PINS.read_text(encoding="utf-8"))
        for id_, kind in wanted:
            pins[id_] = hub.commit(id_, kind, None)
            print(f"{id_} {pins[id_]}")
        with writing(PINS):
            write_text(PINS, json.dumps(dict(sorted(pins.items())), indent=2) + "\n")
        return 0


def _repositories(recipe: Recipe) -> list[tuple[str, Literal["model", "dataset"]]]:
    from finetune.checkpoint import Hub
    from finetune.data.hub_dataset import HubDataset

    parts = ((recipe.checkpoint, Hub, "model"), (recipe.data, HubDataset, "dataset"))
    return [(part.id, kind) for part, contract, kind in parts if isinstance(part, contract)]  # pyright: ignore
