"""The experiment as a value: its parts, JSON and back, overrides by name, and the fingerprint of what it computes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar

from finetune import axes, data, methods, tasks
from finetune.attention import cores, positions
from finetune.attention.cores import Core
from finetune.attention.positions import Position
from finetune.attention.swap import STOCK, MultiHead
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
from finetune.untrained import Untrained

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
    split: Split = Split()
    budget: Budget = Budget()
    precision: Format = "auto"
    seed: int = 0  # of the head's first weights, of batches and dropout; the rows are `split.seed`'s

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
        return _to_json(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote.

        Raises:
            InputError: a part or field is not known here.
        """
        return _from_json(Recipe, value)

    def override(self, settings: Iterable[str]) -> Recipe:
        """The recipe with `field.field=value` applied, each value read as its field's type.

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
        said = _telling(replace(self, budget=budget))
        for field in ("name", "checkpoint", "data", "precision"):
            said.pop(field, None)
        return content_key(FORMAT, json.dumps(said, sort_keys=True), weights, data, dtype)


def _known(contract: type) -> dict[str, type]:
    """The classes a part of a stored recipe may be of, by name: those of its axis, and no other code."""
    axis = {Core: cores, Data: data, Method: methods, Position: positions, Task: tasks}.get(contract)
    if axis is None:
        found = [Packaged, Local, Hub, Untrained] if contract is Checkpoint else [contract]
    else:
        found = axes.every(axis, contract)
    return {kind.__name__: kind for kind in found}


def _to_json(value: Any) -> Any:
    if is_dataclass(value):
        return {"type": type(value).__name__} | {f.name: _to_json(getattr(value, f.name)) for f in fields(value)}
    return [_to_json(item) for item in value] if isinstance(value, tuple) else value


def _telling(value: Any) -> Any:
    """As `_to_json`, without the fields that are as they are by default."""
    if is_dataclass(value):
        own = [each for each in fields(value) if getattr(value, each.name) != each.default]
        return {"type": type(value).__name__} | {each.name: _telling(getattr(value, each.name)) for each in own}
    return [_telling(item) for item in value] if isinstance(value, tuple) else value


def _from_json(contract: type, value: Mapping[str, Any]) -> Any:
    known = _known(contract)
    if value.get("type") not in known:
        raise one_of(f"kind of {contract.__name__.lower()}", str(value.get("type")), known)
    kind = known[value["type"]]
    known, given = {each.name: hints(kind)[each.name] for each in fields(kind)}, {}
    for name, item in value.items():
        if name == "type":
            continue
        if name not in known:
            raise one_of(f"field of {kind.__name__}", name, known)
        given[name] = _from_json(optional(known[name]), item) if isinstance(item, Mapping) else _tuples(item)
    return kind(**given)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _replaced(value: Any, path: list[str], text: str, whole: str) -> Any:
    name, *rest = path
    names = [field.name for field in fields(value)]
    if name not in names:
        raise NoFieldError(type(value).__name__, name, names, len(rest))
    if rest:
        inner = getattr(value, name)
        if not is_dataclass(inner):
            text = f"{whole}: {name} is a plain value and has no field {rest[0]!r}"
            raise NoFieldError(name, rest[0], (), len(rest) - 1, text)
        return replace(value, **{name: _replaced(inner, rest, text, whole)})
    return replace(value, **{name: parse(text, hints(type(value))[name], whole)})
