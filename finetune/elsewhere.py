"""A finished run away from home: on rows of another origin, and on rows that it was not about at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from finetune.anatomy import of_architecture
from finetune.checkpoint import Weights
from finetune.data import Data
from finetune.data.photographs import Photographs
from finetune.data.topics import Topics
from finetune.errors import InputError
from finetune.finished import Finished
from finetune.forgetting import remembered
from finetune.loading import load_config
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.result import Result
from finetune.session import Shelf, session, setup
from finetune.shift import Shift
from finetune.transfer import INPUTS, rows, scored

# by what a checkpoint reads: the first that a run is not about
REFERENCES: Mapping[str, tuple[Data, ...]] = {
    "text": (Topics("20newsgroups"), Topics("reuters-r8")),
    "image": (Photographs(),),
}


def shift(
    recipe: Recipe,
    result: Result,
    *,
    on: Data | None = None,
    reference: Data | None = None,
    progress: Silent | None = None,
    shelf: Shelf | None = None,
) -> Shift:
    """What a finished run is worth elsewhere, and what its backbone has forgotten; read, where it was measured before.

    Args:
        result: of the recipe, as `run` gave it.
        on: rows of another origin with labels of the same names; None: those that the recipe's data set knows.
        reference: rows about something else; None: a packaged data set.

    Raises:
        InputError: what was given cannot be read by the run, or is not from elsewhere.
    """
    if result.status != "done":
        return Shift(result=result)
    if result.folder is None:
        raise InputError("result is to be one that `run` or `compare` gave: a record alone holds no model")
    progress, shelf = progress or Silent(), shelf or Shelf()
    run = Finished(recipe=recipe, result=result, folder=result.folder, progress=progress, shelf=shelf)
    on = on or recipe.data.elsewhere()
    found = Shift(result=result, elsewhere=None if on is None else scored(run, on))
    if recipe.method.bare:  # it has no backbone that could forget
        return found
    return replace(found, reference=remembered(run, reference or _unrelated(recipe, progress, shelf)))


def check(recipe: Recipe, *, on: Data | None, reference: Data | None, progress: Silent, shelf: Shelf) -> None:
    """Whether what was named for a recipe can be asked of its runs: before hours of training, not after them.

    Raises:
        InputError: the recipe has no labels, or rows are not from elsewhere, or of something that it does not read.
    """
    if not session(recipe, progress=progress, shelf=shelf).facts().labels:
        raise InputError(
            f"{recipe.name} has no labels: by their names rows from elsewhere are chosen, and by those of the nearest "
            "rows it is told what a backbone has forgotten"
        )
    if on is not None:
        rows(*(session(replace(recipe, data=data), progress=progress, shelf=shelf) for data in (recipe.data, on)))
    if reference is not None:
        there = session(replace(recipe, data=reference), progress=progress, shelf=shelf)
        columns = reference.load(there.fetched).train.column_names
        reads, given = _reads(there.weights), [name for name in INPUTS if name in columns]
        if reads not in given:
            raise InputError(f"{recipe.name} reads {reads}, {reference.title} has {' and '.join(given)}")


def _unrelated(recipe: Recipe, progress: Silent, shelf: Shelf) -> Data:
    """A packaged data set of the kind that the checkpoint reads, about something else than the recipe's."""
    weights = setup(recipe, progress=progress, shelf=shelf).weights
    known = REFERENCES[_reads(weights)]
    found = next((data for data in known if data != recipe.data.origin), None)
    if found is None:
        raise InputError(f"{recipe.name} is about all that is known here of its kind: --reference RECIPE names another")
    return found


def _reads(weights: Weights) -> str:
    return of_architecture(load_config(weights).model_type).reads
