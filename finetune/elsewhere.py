"""A finished run away from home: on rows of another origin, and on rows that it was not about at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from finetune.anatomy import of_architecture
from finetune.data import Data
from finetune.data.photographs import Photographs
from finetune.data.topics import Topics
from finetune.finished import Finished
from finetune.forgetting import remembered
from finetune.loading import load_config
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.result import Result
from finetune.session import Shelf, setup
from finetune.shift import Shift
from finetune.transfer import scored

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
    progress, shelf = progress or Silent(), shelf or Shelf()
    folder = Path(result.folder or "")
    run = Finished(recipe=recipe, result=result, folder=folder, progress=progress, shelf=shelf)
    on = on or recipe.data.elsewhere()
    return Shift(
        result=result,
        elsewhere=None if on is None else scored(run, on),
        reference=remembered(run, reference or _unrelated(recipe, progress, shelf)),
    )


def _unrelated(recipe: Recipe, progress: Silent, shelf: Shelf) -> Data:
    """A packaged data set of the kind that the checkpoint reads, about something else than the recipe's."""
    weights = setup(recipe, progress=progress, shelf=shelf).weights
    known = REFERENCES[of_architecture(load_config(weights).model_type).reads]
    return next(data for data in known if data != recipe.data)
