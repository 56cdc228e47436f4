"""The experiment as a value: its parts, JSON and back, overrides by name, and the fingerprint of what it computes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from inspect import isabstract
from types import ModuleType
from typing import Any, ClassVar

from finetune import augmentations, data, methods, tasks
from finetune.attention import cores, positions
from finetune.attention.cores import Core
from finetune.attention.positions import Position
from finetune.attention.swap import STOCK, MultiHead
from finetune.augmentations import Augmentation
from finetune.blank import Blank
from finetune.checkpoint import Checkpoint, Hub, Local, Packaged
from finetune.data import Data
from finetune.errors import InputError, NoFieldError, one_of
from finetune.hashing import content_key
from finetune.methods import Method
from finetune.optim import Budget
from finetune.parts import Part, hints, optional, parse
from finetune.precision import Format
from finetune.splits import Split
from finetune.tasks import Task
from finetune.transformer import norms, scores, systems, tokenizers
from finetune.transformer.norms import Norm
from finetune.transformer.scores import Score
from finetune.transformer.systems import System
from finetune.transformer.tokenizers import Tokenizer
from finetune.untrained import Untrained
from finetune.written import alternatives, from_json, telling, to_json

AXES: Mapping[type, ModuleType] = {
    Augmentation: augmentations,
    Core: cores,
    Data: data,
    Method: methods,
    Norm: norms,
    Position: positions,
    Score: scores,
    System: systems,
    Task: tasks,
    Tokenizer: tokenizers,
}
FORMAT = 3  # counts up when the same recipe comes to other numbers: old results are then not taken for new ones


@dataclass(frozen=True, kw_only=True)
class Recipe(Part):
    """One experiment. Derive another with `dataclasses.replace`."""

    where: ClassVar[str] = "recipe"

    name: str
    checkpoint: Checkpoint
    data: Data
    task: Task
    method: Method
    attention: MultiHead | None = None  # ours in place of the checkpoint's; None: the checkpoint's own
    augmentation: Augmentation | None = None  # draws training examples anew in each epoch; None: they stay as they are
    split: Split = Split()
    budget: Budget = Budget()
    precision: Format = "auto"
    seed: int = 0  # of the head's first weights, of batches, augmentation and dropout; the rows are `split.seed`'s

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"[\w+-][\w.+-]*", self.name):
            raise InputError(f"recipe.name becomes a folder's: letters, digits and . _ + - only, got {self.name!r}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"recipe.seed must be in [0, 2**32), got {self.seed}")

    @property
    def method_name(self) -> str:
        """The method's name on the command line and in tables: the file it is written in."""
        return type(self.method).__module__.rpartition(".")[2]

    @property
    def attention_name(self) -> str:
        """The attention's name on the command line and in tables."""
        return STOCK if self.attention is None else self.attention.name

    @property
    def variant(self) -> str:
        """What tells this recipe from its siblings but for the seed, for people."""
        swapped = "" if self.attention is None else f" {self.attention_name}"
        return f"{self.name} {self.method_name}{swapped}"

    @property
    def label(self) -> str:
        """What tells this recipe from its siblings, for people."""
        return f"{self.variant} seed {self.seed}"

    def to_json(self) -> dict[str, Any]:
        return to_json(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote.

        Raises:
            InputError: a part or field is not known here.
        """
        return from_json(Recipe, value, _known)

    def override(self, settings: Iterable[str]) -> Recipe:
        """The recipe with `field.field=value` applied, each value read as its field's type.

        A part that is one of several alternatives is chosen by the name of its class: `positions=LearnedPositions`.

        Raises:
            InputError: no such field (then it is a NoFieldError), or not such a value.
        """
        recipe = self
        for setting in settings:
            path, equals, text = setting.partition("=")
            if not equals:
                raise InputError(f"--set takes field=value, got {setting!r}; for example --set method.rank=16")
            recipe = _replaced(recipe, path.strip().split("."), text.strip(), path)
        return recipe

    def fingerprint(self, weights: str, data: str, dtype: str) -> str:
        """A hash of everything that changes the number, and of nothing else.

        Where weights and rows come from is not in it, what they are is (as hashes of their content); nor is how a
        batch is cut to fit memory, how often a snapshot is taken, nor a budget that the method does not use. A field
        that is as it is by default is not in it either, so that one which is added later leaves results of before what
        they are; whoever changes a default counts FORMAT up.
        """
        budget = replace(self.method.budget(self.budget), micro_batch=None, snapshot_every=None)
        said = telling(replace(self, budget=budget))
        for field in ("name", "checkpoint", "data", "precision"):
            said.pop(field, None)
        return content_key(FORMAT, json.dumps(said, sort_keys=True), weights, data, dtype)


def _known(contract: type) -> dict[str, type]:
    """The classes a part of a stored recipe may be of, by name: those of its axis, and no other code."""
    if contract is Checkpoint:
        return {kind.__name__: kind for kind in (Packaged, Local, Hub, Untrained, Blank)}
    return alternatives(AXES.get(contract), contract)


def _replaced(value: Any, path: list[str], text: str, whole: str) -> Any:
    name, *rest = path
    names = [field.name for field in fields(value)]
    if name not in names:
        raise NoFieldError(type(value).__name__, name, names, len(rest))
    if rest:
        inner = getattr(value, name)
        if not is_dataclass(inner):
            kind = "none" if inner is None else "a plain value"
            text = f"{whole}: {name} is {kind} and has no field {rest[0]!r}"
            raise NoFieldError(name, rest[0], (), len(rest) - 1, text)
        return replace(value, **{name: _replaced(inner, rest, text, whole)})
    kind = hints(type(value))[name]
    contract = optional(kind)
    # a method is chosen by --method, which takes the recipe's own variant of it
    if contract in AXES and contract is not Method and (contract is kind or text.lower() != "none"):
        return replace(value, **{name: _chosen(contract, text, getattr(value, name), whole)})
    return replace(value, **{name: parse(text, kind, whole)})


def _chosen(contract: type, text: str, before: Any, whole: str) -> Any:
    """The part of that class as it is by default; the one that is there, if it is of it.

    Raises:
        InputError: there is no such class, or it has something to be said that has no default.
    """
    kinds = {name: kind for name, kind in _known(contract).items() if not isabstract(kind)}
    if text not in kinds:
        raise one_of(f"kind of {whole}", text, kinds)
    if type(before) is kinds[text]:
        return before
    for each in fields(kinds[text]):
        if each.default is MISSING and each.default_factory is MISSING:
            raise InputError(f"{whole}={text} leaves {each.name} open, which has no default; write it in a recipe file")
    return kinds[text]()
