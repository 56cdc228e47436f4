"""What a finished run scores on rows from elsewhere: the same question, asked of another data set.

N rows, L labels of the other data set.
"""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import numpy as np

from finetune import evaluate
from finetune.data import Data, Rows, answer, classes
from finetune.errors import InputError
from finetune.finished import Finished
from finetune.hashing import content_key
from finetune.items import Items
from finetune.recipe import Recipe
from finetune.session import Session
from finetune.shift import Elsewhere
from finetune.splits import grouped, repeated

FORMAT = 2  # counts up when the same rows come to other numbers
INPUTS = ("text", "text_pair", "image")  # columns that a model reads


def scored(run: Finished, data: Data) -> Elsewhere:
    """What the run scores on the data set's test rows; where it has none of its own, on all of its rows.

    Labels are the same where their names are. Only rows of labels that the run knows are scored, and of those only
    rows whose text is nowhere in the run's own data set; the answer may be any label that the run knows.

    Raises:
        InputError: the data sets share no label, or no row is left, or the run reads something else.
    """
    here, there = run.session(run.recipe.data), run.session(data)
    key = content_key(FORMAT, there.fetched.sha256)
    return run.kept(Elsewhere, key, lambda: _scored(run, here, there))


def rows(here: Session, there: Session) -> tuple[datasets.Dataset, int, int]:
    """Those of a data set that a recipe can be scored on, with the recipe's numbers for their labels.

    Returns:
        the rows; how many others have labels that it does not know; and how many its own data set has too.

    Raises:
        InputError: no row is left, or the recipe reads something else.
    """
    recipe, data = here.recipe, there.recipe.data
    ours, theirs = recipe.data.load(here.fetched), data.load(there.fetched)
    every = theirs.train if theirs.test is None else theirs.test
    for name, held in ((recipe.name, ours.train), (data.title, every)):
        if answer(held) != "label":
            raise InputError(f"{name} has no labels, by whose names rows from elsewhere are chosen")
    _check_alike(recipe, ours.train, every, data)
    known_N = _known(recipe, ours.labels, theirs.labels, data)[classes(every)]
    every = every.remove_columns("label").add_column("label", known_N)  # pyright: ignore[reportCallIssue]
    shared = every.select(np.flatnonzero(known_N >= 0))
    kept = _foreign(recipe, ours, shared, data)
    cap = recipe.split.test_rows
    chosen = kept if cap is None else recipe.split.first(kept, cap)
    return chosen, len(every) - len(shared), len(shared) - len(kept)


def _scored(run: Finished, here: Session, there: Session) -> Elsewhere:
    chosen, others, own = rows(here, there)
    setup = run.predictor.setup
    task = setup.task
    examples = task.encode(lambda: chosen, setup.weights, "")
    run.progress.start("elsewhere", examples.tokens, "tok")
    found = evaluate.predict(run.predictor.module, examples, setup.accelerator, run.progress, setup.respond)
    run.progress.end()
    outputs_N = task.predict(found.responses)
    right_N = task.right(found.targets, outputs_N)
    groups_N = grouped(chosen)
    return Elsewhere(
        of=there.recipe.data.title,
        scores=task.score(found.targets, outputs_N, run.predictor.labels, groups_N),
        items=None if right_N is None else Items.of(found.ids, right_N, groups_N=groups_N),
        others=others,
        own=own,
    )


def _foreign(recipe: Recipe, ours: Rows, rows: datasets.Dataset, data: Data) -> datasets.Dataset:
    """The rows whose text is not among ours."""
    own_N = repeated(ours.train, rows)
    if ours.test is not None:
        own_N |= repeated(ours.test, rows)
    if own_N.all():
        what = f"all {len(rows)} rows of {data.title} with a label of {recipe.name}"
        raise InputError(f"{what} are in {recipe.data.title} too: they are not from elsewhere")
    return rows.select(np.flatnonzero(~own_N))


def _known(recipe: Recipe, ours: Sequence[str], theirs: Sequence[str], data: Data) -> np.ndarray:
    """The recipe's number of each label of theirs, -1 where it has none."""
    numbers = {name: number for number, name in enumerate(ours)}
    known_L = np.array([numbers.get(name, -1) for name in theirs])
    if (known_L < 0).all():
        shown = [", ".join(names[:3]) + " …" * (len(names) > 3) for names in (theirs, ours)]
        raise InputError(f"{data.title} has no label of {recipe.name}: {shown[0]}; it knows {shown[1]}")
    return known_L


def _check_alike(recipe: Recipe, ours: datasets.Dataset, theirs: datasets.Dataset, data: Data) -> None:
    read, given = ([name for name in INPUTS if name in rows.column_names] for rows in (ours, theirs))
    if read != given:
        raise InputError(f"{recipe.name} reads {' and '.join(read)}, {data.title} has {' and '.join(given)}")
