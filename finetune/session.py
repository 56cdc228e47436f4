"""A recipe on this machine: what it names is fetched, what it leaves open is settled, and runs share what they can."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from finetune import dropout, precision, repeatable
from finetune.anatomy import of_architecture
from finetune.attention import interface
from finetune.attention.swap import load_learned, swap
from finetune.augmentations import Tokens
from finetune.cache import ENCODED, FEATURES, kept_dir, writing_cache
from finetune.checkpoint import Checkpoint, Weights
from finetune.data import Data, Fetched
from finetune.encode import Examples
from finetune.errors import InputError
from finetune.evaluate import Responder
from finetune.features import Extraction
from finetune.hashing import content_key
from finetune.launch import open_accelerator
from finetune.loading import load_config, load_tokenizer
from finetune.methods import Material, Pretrained
from finetune.outputs import RunFolder, read_json, write_text
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.splits import Split, SplitFacts, Splits
from finetune.tasks import Task

if TYPE_CHECKING:
    import datasets

ROWS = 1  # counts up when the same data and split come to other rows
SPLITS = ("train", "validation", "test")
CHOOSING = SPLITS[:2]  # those that may have a say in what is tried next


@dataclass
class Shelf:
    """What the runs of one comparison share: nothing is fetched, read or encoded twice."""

    weights: dict[Checkpoint, Weights] = field(default_factory=dict)
    fetched: dict[Data, Fetched] = field(default_factory=dict)
    splits: dict[tuple[Data, Split], Splits] = field(default_factory=dict)
    examples: dict[tuple[Data, Split, Task, Checkpoint], dict[str, Examples]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A recipe's checkpoint on this machine, and what the recipe leaves to it: enough for a model, without any rows."""

    recipe: Recipe
    accelerator: Accelerator
    progress: Silent
    weights: Weights
    dtype: torch.dtype
    kernel: str  # transformers' name of the code of a stock attention

    @property
    def task(self) -> Task:
        """The recipe's, with all settled that it leaves to its rows."""
        return self.recipe.task

    def model(self, labels: tuple[str, ...], weights: Weights) -> tuple[PreTrainedModel, tuple[str, ...]]:
        """The recipe's model for these labels with these weights, and the names of the modules that are its head."""
        model, head = self.task.model(labels, weights, self.kernel)
        if self.recipe.attention is not None:
            swap(model, self.recipe.attention)
            load_learned(model, weights.folder)
        (dropout if self.accelerator.device.type == "cpu" else repeatable).replace(model)
        return model, head

    @property
    def respond(self) -> Responder:
        """What is kept of the model's answers."""
        return self.task.responder(self.weights)

    @property
    def extraction(self) -> Extraction:
        """Takes features of the recipe's backbone as it was pretrained."""
        return Extraction(
            folder=kept_dir(FEATURES),
            weights=content_key(self.weights.identity, self.recipe.to_json()["attention"] or self.kernel),
            accelerator=self.accelerator,
            dtype=self.dtype,
            progress=self.progress,
        )

    def pretrained(self, labels: tuple[str, ...]) -> Pretrained:
        return Pretrained(
            weights=self.weights,
            labels=labels,
            objective=self.task.objective(labels),
            build=partial(self.model, labels),
            device=self.accelerator.device,
            dtype=self.dtype,
        )


@dataclass(frozen=True, kw_only=True)
class Session(Setup):
    """A recipe on this machine: what it stands for here, before anything is computed."""

    shelf: Shelf
    fetched: Fetched

    @property
    def fingerprint(self) -> str:
        return self.recipe.fingerprint(self.weights.identity, self.fetched.sha256, str(self.dtype))

    def folder(self, out: str | Path) -> RunFolder:
        swapped = "" if self.recipe.attention is None else f"-{self.recipe.attention_name}"
        label = f"{self.recipe.method_name}{swapped}-seed{self.recipe.seed}-{self.fingerprint[:8]}"
        return RunFolder(out, self.recipe.name, label)

    @property
    def parts(self) -> tuple[str, ...]:
        """The splits that the recipe looks at."""
        return CHOOSING if self.recipe.split.closed else SPLITS

    @property
    def task(self) -> Task:
        facts = self.facts()
        return self.recipe.task.settled(facts.labels, facts.values)

    def splits(self) -> Splits:
        key = (self.recipe.data, self.recipe.split)
        if key not in self.shelf.splits:
            self.shelf.splits[key] = self.recipe.split.cut(self.recipe.data.load(self.fetched))
        return self.shelf.splits[key]

    def facts(self) -> SplitFacts:
        """Of the splits, without cutting them again where that was done before."""
        path = kept_dir(ENCODED) / f"{self._key()}.json"
        stored = read_json(path)
        if stored is None or "groups" not in stored:  # those that were stored before there were any do not say it
            facts = self.splits().facts
            with writing_cache():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, json.dumps(asdict(facts)))
            return facts
        values = stored["values"]
        return SplitFacts(
            labels=tuple(stored["labels"]),
            test_rows_in_train=stored["test_rows_in_train"],
            values=None if values is None else tuple(values),
            groups=stored["groups"],
        )

    def groups(self, part: str) -> np.ndarray | None:
        """Numbers of the groups of a split's rows, one each; None: each row is alone."""
        found = self.facts().groups.get(part)
        return None if found is None else np.array(found)

    def examples(self) -> dict[str, Examples]:
        recipe = self.recipe
        key = (recipe.data, recipe.split, recipe.task, recipe.checkpoint)
        if key not in self.shelf.examples:
            with self.accelerator.main_process_first():  # one process encodes, the others read
                self.shelf.examples[key] = {
                    part: recipe.task.encode(partial(self._rows, part), self.weights, self._part_key(part))
                    for part in self.parts
                }
        return self.shelf.examples[key]

    def _rows(self, part: str) -> datasets.Dataset:
        return self.splits()[part]

    def _key(self) -> str:
        """Names the content of the rows and how they are split."""
        return content_key(ROWS, self.fetched.sha256, self.recipe.split)

    def _part_key(self, part: str) -> str:
        """The same of one split, which no cap on another changes."""
        fetched, split = self.fetched, self.recipe.split
        if part in CHOOSING:
            return content_key(ROWS, fetched.sha256, replace(split, test_rows=None), part)
        of_train = {"train_rows": None, "per_class": None, "draw": 0}
        return content_key(ROWS, fetched.tested or fetched.sha256, replace(split, **of_train), part)

    @property
    def attention(self) -> str:
        """What computes it: transformers' name of the code of the checkpoint's own, or ours."""
        return self.kernel if self.recipe.attention is None else self.recipe.attention_name

    def build(self, weights: Weights) -> tuple[PreTrainedModel, tuple[str, ...]]:
        """The model for the labels of the recipe's rows."""
        return self.model(self.facts().labels, weights)

    def material(self) -> Material:
        examples = self._augmented(self.examples())  # first: it looks at rows, and can say what is wrong with them
        return Material(
            **vars(self.pretrained(self.facts().labels)),
            examples=examples,
            stock=lambda: replace(self, recipe=replace(self.recipe, attention=None)).material(),
            extraction=self.extraction,
        )

    def _augmented(self, examples: dict[str, Examples]) -> dict[str, Examples]:
        """The same, where the recipe draws training examples anew with those to be drawn."""
        augmentation = self.recipe.augmentation
        if augmentation is None:
            return examples
        tokens = Tokens.of(load_tokenizer(self.weights)) if augmentation.reads == "text" else None
        return {**examples, "train": examples["train"].augmented(augmentation, tokens)}


def session(recipe: Recipe, *, progress: Silent | None = None, shelf: Shelf | None = None) -> Session:
    """Fetch what a recipe names and settle what it leaves to the machine.

    Raises:
        InputError: its parts do not fit one another.
    """
    shelf = shelf or Shelf()
    here = setup(recipe, progress=progress, shelf=shelf)
    _check_augmentation(recipe, here.weights)
    with here.accelerator.main_process_first():
        if recipe.data not in shelf.fetched:
            shelf.fetched[recipe.data] = recipe.data.fetch(here.progress)
    return Session(**vars(here), shelf=shelf, fetched=shelf.fetched[recipe.data])


def _check_augmentation(recipe: Recipe, weights: Weights) -> None:
    """
    Raises:
        InputError: it would change nothing that is read, or be drawn but once.
    """
    if recipe.augmentation is None:
        return
    named, wanted = f"augmentation {type(recipe.augmentation).__name__}", recipe.augmentation.reads
    if recipe.method.reads_once:
        raise InputError(
            f"{named} draws every example anew in each epoch, and {recipe.method_name} reads each once; leave it none"
        )
    reads = of_architecture(load_config(weights).model_type).reads
    if reads != wanted:
        raise InputError(f"{named} changes {wanted}s, and checkpoint {weights.name} reads {reads}s; leave it none")


def setup(recipe: Recipe, *, progress: Silent | None = None, shelf: Shelf | None = None) -> Setup:
    """The same without the recipe's rows: what they would be is not asked."""
    shelf, progress = shelf or Shelf(), progress or Silent()
    accelerator = open_accelerator(progress)
    with accelerator.main_process_first():  # one process downloads, the others find it there
        if recipe.checkpoint not in shelf.weights:
            shelf.weights[recipe.checkpoint] = recipe.checkpoint.fetch(progress)
    dtype = precision.resolve(recipe.precision, accelerator.device)
    return Setup(
        recipe=recipe,
        accelerator=accelerator,
        progress=progress,
        weights=shelf.weights[recipe.checkpoint],
        dtype=dtype,
        kernel=interface.kernel(accelerator.device),
    )
