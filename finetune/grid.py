"""Many recipes: run what is not done, share what can be shared, and go on when one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.engines import Engine, Failure
from finetune.engines.here import Here
from finetune.errors import InputError, NoFieldError
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.report.groups import Failed
from finetune.report.tables import Table, table
from finetune.result import Result


@dataclass(frozen=True)
class Comparison:
    """What became of each recipe, in the order asked for."""

    results: tuple[Result, ...]
    failures: tuple[Failure, ...]
    trials: tuple[Result, ...] = ()  # those of `finetune.tuning`, where the recipes of the results were chosen

    @property
    def before(self) -> int:
        """How many of the results there were already."""
        return sum(result.before is not None for result in self.results)

    def table(self, layout: Callable[..., Table] = table) -> Table:
        return layout((*self.results, *self.trials), [_failed(each.recipe) for each in self.failures])


def _failed(recipe: Recipe) -> Failed:
    return Failed(recipe=recipe.to_json(), method=recipe.method_name, attention=recipe.attention_name)


def seeds(recipes: Iterable[Recipe], count: int) -> list[Recipe]:
    """Each recipe with `count` seeds, counted up from its own.

    Raises:
        InputError: fewer than one.
    """
    if count < 1:
        raise InputError(f"seeds must be at least 1, got {count}")
    return [_reseeded(recipe, number) for recipe in recipes for number in range(count)]


def _reseeded(recipe: Recipe, number: int) -> Recipe:
    data, checkpoint = recipe.data.reseeded(number), recipe.checkpoint.reseeded(number)
    return replace(recipe, seed=recipe.seed + number, data=data, checkpoint=checkpoint)


def draws(recipes: Iterable[Recipe], count: int) -> list[Recipe]:
    """Each recipe with `count` draws of its training rows.

    Raises:
        InputError: fewer than one, or a recipe trains on all rows.
    """
    if count < 1:
        raise InputError(f"draws must be at least 1, got {count}")
    return [replace(each, split=replace(each.split, draw=draw)) for each in recipes for draw in range(count)]


def labels(recipes: Iterable[Recipe], text: str) -> list[Recipe]:
    """Each recipe with each of the numbers of labels of a class that are listed, such as 8,64,all.

    Raises:
        InputError: something in the list is no such number.
    """
    caps = [each.strip() for each in text.split(",") if each.strip()]
    wrong = [each for each in caps if each != "all" and not (each.isdecimal() and int(each) > 0)]
    if wrong or not caps:
        raise InputError(f"--labels takes numbers above 0 and all, separated by commas, got {(wrong or [text])[0]!r}")
    counts = [None if each == "all" else int(each) for each in caps]
    return [replace(each, split=replace(each.split, per_class=count)) for each in recipes for count in counts]


def settle(recipes: Sequence[Recipe], settings: Iterable[str], progress: Silent) -> list[Recipe]:
    """Each recipe with every `field.field=value` that it has the field for; which have not is told.

    Raises:
        InputError: none of them has the field, or one that has it takes no such value.
    """
    recipes = list(recipes)
    for setting in settings:
        set_or_not = [_set(recipe, setting) for recipe in recipes]
        without = [
            recipe.variant for recipe, each in zip(recipes, set_or_not, strict=True) if isinstance(each, NoFieldError)
        ]
        if len(without) == len(recipes):
            raise _nearest([each for each in set_or_not if isinstance(each, NoFieldError)])
        if without:
            progress.say(f"--set {setting} leaves {', '.join(dict.fromkeys(without))} as they are: no such field")
        recipes = [old if isinstance(new, NoFieldError) else new for old, new in zip(recipes, set_or_not, strict=True)]
    return recipes


def _set(recipe: Recipe, setting: str) -> Recipe | NoFieldError:
    try:
        return recipe.override([setting])
    except NoFieldError as error:
        return error


def _nearest(errors: Sequence[NoFieldError]) -> NoFieldError:
    """One error for all recipes: of those that came farthest along the path, with every field that any of them has."""
    first, *others = [error for error in errors if error.left == min(each.left for each in errors)]
    owners = dict.fromkeys(error.owner for error in (first, *others))
    if len(owners) == 1:
        return first
    known = {name for error in (first, *others) for name in error.known}
    return NoFieldError(" or ".join(owners), first.name, known, first.left)


def compare(
    recipes: Sequence[Recipe],
    *,
    out: str | Path = "outputs",
    progress: Silent | None = None,
    known: Sequence[Result] = (),
    engine: Engine | None = None,
) -> Comparison:
    """Run every recipe that is not done; a recipe that cannot run is listed with the reason and stops no other.

    Args:
        known: results from anywhere. Of a recipe that one of them is of, by its fingerprint, nothing is run.
        engine: what computes them; None: this process.

    Raises:
        InputError: the engine can run nothing.
    """
    runs = {recipe: recipe.label for recipe in recipes}  # one that is asked for twice is one run, not two seeds
    by_fingerprint = {result.fingerprint: result for result in known}
    found = (engine or Here()).run(runs, Path(out), progress or Silent(), by_fingerprint)
    # a run may be of another recipe that comes to the same: a budget says nothing where a head is solved for
    results = tuple(
        replace(each, recipe=recipe.to_json()) for recipe, each in found.items() if isinstance(each, Result)
    )
    return Comparison(results, tuple(each for each in found.values() if isinstance(each, Failure)))
