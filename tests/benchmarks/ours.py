"""Our way to do the same, as a process of its own: a recipe by name, a method, settings. Prints one line of JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from stock import since_start

from finetune.progress import Silent


class Watch(Silent):
    """When the first update was done."""

    what, first = "", 0.0

    def start(self, what: str, total: int, unit: str) -> None:
        self.what = what

    def advance(self, units: int) -> None:
        if self.what == "train":
            self.first = self.first or since_start()


def cache_without_features(scratch: Path) -> None:
    """What is fetched stays at hand, what is computed is not: features are part of what is measured."""
    from finetune.cache import cache_dir

    for kept in cache_dir().iterdir():
        if kept.name != "features":
            (scratch / kept.name).symlink_to(kept)
    os.environ["FINETUNE_CACHE"] = str(scratch)


def main(job: dict[str, Any]) -> dict[str, Any]:
    from finetune import catalog
    from finetune.execute import run

    recipe = catalog.load(job["recipe"]).of(job["method"]).override(job["settings"])
    watch = Watch()
    with tempfile.TemporaryDirectory() as scratch:
        cache_without_features(Path(scratch))
        result = run(recipe, out=Path(scratch) / "outputs", progress=watch)
        assert result.folder is not None
        lines = (result.folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "train": result.seconds["train"] + result.seconds["features"],
        "first": watch.first,
        "predicted": [json.loads(line)["output"] for line in lines],
        "tokens": result.tokens_per_second * result.seconds["train"],
        "updates": result.updates,
    }


if __name__ == "__main__":
    said = main(json.loads(sys.argv[1]))
    said["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(said))
