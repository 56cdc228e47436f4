"""Runs that tell whether a score means anything: no input, no backbone, no pretraining, no truth in the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from finetune.data.shuffled import Shuffled
from finetune.methods.majority import Majority
from finetune.methods.surface import Surface
from finetune.recipe import Recipe
from finetune.untrained import Untrained


def controls(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Those of the recipes, with the same rows, budget and seed.

    For each data set and checkpoint the majority's label, a linear model of the inputs alone, and the first of its
    recipes on shuffled labels; for each recipe the same network with random weights.
    """
    found: list[Recipe] = []
    kinds = set()
    for recipe in recipes:
        kind = replace(recipe, method=Majority(), attention=None)
        if kind not in kinds:
            kinds.add(kind)
            shuffled = replace(recipe, name=f"{recipe.name}+shuffled", data=Shuffled(of=recipe.data))
            found += [kind, replace(kind, method=Surface()), shuffled]
        found.append(replace(recipe, name=f"{recipe.name}+untrained", checkpoint=Untrained(of=recipe.checkpoint)))
    return found
