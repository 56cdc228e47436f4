"""Runs that tell whether a score means anything: no input, no backbone, no pretraining, no truth in the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from finetune.benchmark import Control
from finetune.checkpoint import Checkpoint
from finetune.data import Data
from finetune.data.shuffled import Shuffled
from finetune.errors import InputError
from finetune.methods import Solved
from finetune.methods.majority import Majority
from finetune.methods.surface import Surface
from finetune.recipe import Recipe
from finetune.report.groups import AGAIN
from finetune.untrained import Untrained


def controls(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Those of the recipes that have a backbone, with the same rows, budget and seed.

    For each data set and checkpoint the majority's label, a linear model of the inputs alone, and the first of its
    recipes on shuffled labels; for each recipe the same network with random weights.

    Raises:
        InputError: none of them has a backbone.
    """
    kept = [each for each in recipes if not each.method.bare]
    if not kept:
        names = ", ".join(dict.fromkeys(each.method_name for each in recipes))
        raise InputError(f"controls are what a backbone is to beat, and {names} has none: name a method with one")
    found: list[Recipe] = []
    kinds = set()
    for recipe in kept:
        kind = replace(recipe, method=Majority(), attention=None, augmentation=None)
        if kind not in kinds:
            kinds.add(kind)
            found += [kind, replace(kind, method=Surface()), control(recipe, "shuffled")]
        found.append(control(recipe, "untrained"))
    return found


def control(recipe: Recipe, kind: Control) -> Recipe:
    """The same recipe with random weights, or with the labels of its training rows dealt out anew."""
    name = f"{recipe.name}+{kind}"
    if kind == "untrained":
        return replace(recipe, name=name, checkpoint=Untrained(of=recipe.checkpoint))
    return replace(recipe, name=name, data=Shuffled(of=recipe.data))


def again(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Of each data set and checkpoint the first recipe that trains, to be made a second time in a place of its own.

    Where that does not give the same answers, nothing that is smaller than the difference is one.
    """
    first: dict[tuple[Checkpoint, Data], Recipe] = {}
    trained = (each for each in recipes if not each.method.bare)
    for recipe in sorted(trained, key=lambda each: isinstance(each.method, Solved)):
        first.setdefault((recipe.checkpoint, recipe.data), recipe)
    return [replace(recipe, name=f"{recipe.name}{AGAIN}") for recipe in first.values()]
