"""Parts as JSON and back: what the file of a recipe, and the config of a network, hold of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

from finetune import axes
from finetune.errors import one_of
from finetune.parts import hints, optional

Known = Callable[[type], Mapping[str, type]]  # the classes that a part of a contract may be of, by name


def to_json(value: Any) -> Any:
    """A part with all its fields, each part within it told by the name of its class."""
    if is_dataclass(value):
        return {"type": type(value).__name__} | {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    return [to_json(item) for item in value] if isinstance(value, tuple) else value


def telling(value: Any) -> Any:
    """As `to_json`, without the fields that are as they are by default."""
    if is_dataclass(value):
        own = [each for each in fields(value) if getattr(value, each.name) != each.default]
        return {"type": type(value).__name__} | {each.name: telling(getattr(value, each.name)) for each in own}
    return [telling(item) for item in value] if isinstance(value, tuple) else value


def from_json(contract: type, value: Mapping[str, Any], known: Known) -> Any:
    """The part that `to_json` wrote.

    Raises:
        InputError: a kind of part or a field is not known here.
    """
    kinds = known(contract)
    if value.get("type") not in kinds:
        raise one_of(f"kind of {contract.__name__.lower()}", str(value.get("type")), kinds)
    kind = kinds[value["type"]]
    own, given = {each.name: hints(kind)[each.name] for each in fields(kind)}, {}
    for name, item in value.items():
        if name == "type":
            continue
        if name not in own:
            raise one_of(f"field of {kind.__name__}", name, own)
        given[name] = from_json(optional(own[name]), item, known) if isinstance(item, Mapping) else _tuples(item)
    return kind(**given)


def alternatives(axis: ModuleType | None, contract: type) -> dict[str, type]:
    """The classes of an axis by name, and no other code; the contract itself, where it has no axis."""
    found = [contract] if axis is None else axes.every(axis, contract)
    return {kind.__name__: kind for kind in found}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
