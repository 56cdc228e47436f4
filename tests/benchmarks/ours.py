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

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
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
    taken = result.seconds["train"] + result.seconds["features"]
    return {
        "train": taken,
        "whole": taken + result.seconds["eval"],
        "first": watch.first,
        "predicted": [json.loads(line)["output"] for line in lines],
        "updates": result.updates,
        "saved_mb": result.saved_bytes / 2**20,
    }


def grid(variants: list[dict[str, Any]]) -> dict[str, Any]:
    """Many recipes in one process, as `finetune compare` runs them."""
    from finetune import catalog
    from finetune.grid import compare

    recipes = [catalog.load(each["recipe"]).of(each["method"]).override(each["settings"]) for each in variants]
    with tempfile.TemporaryDirectory() as scratch:
        cache_without_features(Path(scratch))
        done = compare(recipes, out=Path(scratch) / "outputs")
    assert len(done.results) == len(variants), done.failures
    return {"accuracy": [next(iter(result.scores.values())).value for result in done.results]}


def forecast(job: dict[str, Any]) -> dict[str, Any]:
    """What `finetune plan` says."""
    from finetune import catalog
    from finetune.plan import plan

    found = plan(catalog.load(job["recipe"]).of(job["method"]).override(job["settings"]))
    return {
        "train": found.seconds["train"] + found.seconds["features"],
        "whole": found.seconds["train"] + found.seconds["features"] + found.seconds["eval"],
        "peak_mb": found.peak / 2**20,
        "saved_mb": found.disk["trained"] / 2**20,
    }


def rows(job: dict[str, Any]) -> dict[str, Any]:
    """A small model on many rows of a file, from the file on."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import tiny

    from finetune import Budget, Classification, Files, Frozen, Full, Local, Recipe, Split
    from finetune.execute import run

    with tempfile.TemporaryDirectory() as scratch:
        os.environ["FINETUNE_CACHE"] = f"{scratch}/cache"
        words = ("cat", "dog", "horse", "sheep")
        with open(f"{scratch}/rows.csv", "w") as file:
            file.write("text,label\n")
            for number in range(job["rows"]):
                file.write(f"{words[number % 4]} {words[number // 4 % 4]} {number},{number % 2}\n")
        recipe = Recipe(
            name="rows",
            checkpoint=Local(str(tiny.write("bert", Path(scratch) / "model"))),
            data=Files(train=f"{scratch}/rows.csv"),
            task=Classification(),
            method={"full": Full(), "frozen": Frozen()}[job["method"]],
            split=Split(test_rows=1000),
            budget=Budget(epochs=1, batch_size=512),
        )
        result = run(recipe, out=f"{scratch}/outputs")
    return {"used": sum(result.rows.values())}


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    kinds = {"grid": grid, "plan": forecast, "rows": rows, "run": main}
    said = kinds[asked["kind"]](asked["job"])
    said["process"] = since_start()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said.setdefault("peak_mb", peak)
    print(json.dumps(said))
