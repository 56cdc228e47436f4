"""What a run will take, before it is paid for: a few of its own updates are made, measured, and multiplied.

A plan goes the way of a run, on a small part of its rows, and knows no method, task or architecture either.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import torch

from finetune import batches, evaluate, precision
from finetune.encode import Examples, Subset
from finetune.execute import train
from finetune.forecast import Forecast
from finetune.keeper import Keeper
from finetune.measure import PeakMemory
from finetune.methods import Material, Trainee
from finetune.optim import Budget
from finetune.outputs import size
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.repeatable import undisturbed
from finetune.session import Session, Shelf, session
from finetune.train import Fit

BATCHES = (1 / 6, 1 / 2, 5 / 6, 1)  # of an epoch's batches by size: the last needs the most memory
ENOUGH = 5.0  # seconds of updates; fewer are made again, since the first of each shape take longer
PASSES = 3  # forward passes over each split


def plan(recipe: Recipe, *, progress: Silent | None = None, shelf: Shelf | None = None) -> Forecast:
    """What a recipe will take, by a few updates and forward passes that are forgotten again.

    Raises:
        InputError: the recipe cannot run.
    """
    here = session(recipe, progress=progress, shelf=shelf)
    material = here.material()
    with tempfile.TemporaryDirectory() as scratch, undisturbed(here.accelerator.device):
        return _forecast(here, material, _small(here, material, Path(scratch)), Path(scratch))


def _forecast(here: Session, material: Material, small: Material, scratch: Path) -> Forecast:
    recipe, once = here.recipe, replace(here.recipe.budget, epochs=1, least_updates=0, patience=None)
    with PeakMemory(here.accelerator.device) as memory:
        before = _resident(here)
        started = time.perf_counter()
        trainee = recipe.method.trainee(small)
        load = time.perf_counter() - started - trainee.feature_seconds
        brief = replace(here, recipe=replace(recipe, budget=once), progress=Silent())
        done = train(brief, trainee, Keeper())
        if done.seconds < ENOUGH:
            done = train(brief, trainee, Keeper())
        started = time.perf_counter()
        for part in here.parts[1:]:
            evaluate.predict(trainee.module, trainee.examples[part], here.accelerator, respond=here.respond)
        evaluated = time.perf_counter() - started
    peak = max(memory.bytes, trainee.feature_memory)
    causes, trained = _causes(here, trainee, done, before, peak), trainee.trained
    done.unround()
    saved = size(recipe.method.save(trainee.module, small, scratch))
    rows = len(material.examples["train"])
    return Forecast(
        recipe=recipe.name,
        method=recipe.method_name,
        attention=recipe.attention_name,
        seconds={
            "load": load,
            "features": trainee.feature_seconds * _tokens(material, here.parts) / _tokens(small, here.parts),
            "train": done.seconds * _work(here, trainee, material, small),
            "eval": evaluated * _tokens(material, here.parts[1:]) / _tokens(small, here.parts[1:]),
        },
        memory=causes,
        disk={"trained": saved, "cache": round(size(small.extraction.folder) * _rows(material) / _rows(small))},
        rows=rows,
        updates=_updates(recipe, trainee, done, rows),
        parameters={"total": trainee.parameters, "trained": trained},
    )


def _small(here: Session, material: Material, scratch: Path) -> Material:
    """The same on a part of its rows, with features of its own."""
    budget = here.recipe.method.budget(here.recipe.budget)
    train = material.examples["train"]
    order = sorted(
        batches.epoch(train.lengths, budget.batch_size, here.recipe.seed, 1), key=lambda b: _padded(train, b)
    )
    chosen = {round(share * (len(order) - 1)) for share in BATCHES}
    small: dict[str, Examples] = {"train": Subset(train, np.concatenate([order[number] for number in chosen]))}
    for part in here.parts[1:]:
        whole = material.examples[part]
        together = PASSES * precision.tokens_per_pass(here.accelerator.device)
        step = max(1, int(whole.lengths.sum()) // together)
        small[part] = Subset(whole, np.argsort(whole.lengths, kind="stable")[step // 2 :: step])
    extraction = replace(material.extraction, folder=scratch / "features", progress=Silent())
    return replace(material, examples=small, extraction=extraction)


def _padded(examples: Examples, batch: np.ndarray) -> int:
    return len(batch) * int(examples.positions[batch].max())


def _work(here: Session, trainee: Trainee, material: Material, small: Material) -> float:
    """How many times as much the whole training is."""
    if trainee.solve is not None:
        return len(material.examples["train"]) / len(small.examples["train"])
    budget, seed = here.recipe.method.budget(here.recipe.budget), here.recipe.seed
    tokens = [
        sum(_padded(each, batch) for batch in batches.epoch(each.lengths, budget.batch_size, seed, 1))
        for each in (material.examples["train"], small.examples["train"])
    ]
    return budget.passes(len(material.examples["train"])) * tokens[0] / tokens[1]


def _updates(recipe: Recipe, trainee: Trainee, done: Fit, rows: int) -> int:
    budget: Budget = recipe.method.budget(recipe.budget)
    return done.updates if trainee.solve is not None else budget.passes(rows) * math.ceil(rows / budget.batch_size)


def _tokens(material: Material, parts: Iterable[str]) -> int:
    return sum(material.examples[part].tokens for part in parts)


def _rows(material: Material) -> int:
    return sum(map(len, material.examples.values()))


def _resident(here: Session) -> int:
    """Bytes in use before there is a model."""
    device = here.accelerator.device
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss


def _causes(here: Session, trainee: Trainee, done: Fit, before: int, peak: int) -> dict[str, int]:
    """The peak by what needs it; activations are what is left, and the room that computing them takes."""
    module = sum(each.numel() * each.element_size() for each in trainee.module.parameters())
    weights = max(module, trainee.parameters * here.dtype.itemsize)
    gradients, moments = (0, 0) if done.learned is None else done.learned.bytes
    known = {"libraries": before, "weights": weights, "gradients": gradients, "optimizer": moments}
    return known | {"activations": max(0, peak - sum(known.values()))}
