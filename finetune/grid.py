"""Many recipes: run what is not done, share what can be shared, and go on when one fails."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from finetune.errors import InputError
from finetune.execute import run
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.report.groups import Failed
from finetune.report.tables import Table, table
from finetune.result import Result
from finetune.session import Shelf


@dataclass(frozen=True)
class Failure:
    recipe: Recipe
    reason: str


@dataclass(frozen=True)
class Comparison:
    """What became of each recipe, in the order asked for."""

    results: tuple[Result, ...]
    failures: tuple[Failure, ...]

    def table(self) -> Table:
        return table(
            self.results,
            [_failed(each.recipe) for each in self.failures],
        )


def _failed(recipe: Recipe) -> Failed:
    return Failed(recipe=recipe.to_json(), method=recipe.method_name, attention=recipe.attention_name)


def seeds(recipes: Iterable[Recipe], count: int) -> list[Recipe]:
    """Each recipe with `count` seeds, counted up from its own.

    Raises:
        InputError: fewer than one.
    """
    if count < 1:
        raise InputError(f"seeds must be at least 1, got {count}")
    return [replace(recipe, seed=recipe.seed + number) for recipe in recipes for number in range(count)]


def compare(recipes: Sequence[Recipe], *, out: str | Path = "outputs", progress: Silent | None = None) -> Comparison:
    """Run every recipe that is not done; a recipe that cannot run is listed with the reason and stops no other."""
    progress, shelf = progress or Silent(), Shelf()
    recipes = list(dict.fromkeys(recipes))  # one that is asked for twice is one run, not two seeds
    results, failures = [], []
    for number, recipe in enumerate(recipes, 1):
        progress.run(number, len(recipes), recipe.label)
        try:
            results.append(run(recipe, out=out, progress=progress, shelf=shelf))
        except (InputError, torch.OutOfMemoryError) as error:
            if int(os.environ.get("WORLD_SIZE", "1")) > 1:
                raise  # the other processes may not have failed; going on without them would wait for ever
            failures.append(Failure(recipe, str(error)))
    return Comparison(tuple(results), tuple(failures))
