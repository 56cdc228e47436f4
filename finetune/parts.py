"""A part of a recipe: a frozen value whose fields hold what they declare, given in Python or as text."""

from __future__ import annotations

import math
import types
import typing
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, ClassVar

from finetune.errors import InputError, one_of

WORDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


class Part:
    """What a recipe is made of. A subclass is a frozen dataclass; its own `__post_init__` calls this one first."""

    where: ClassVar[str]  # what `--set` calls it

    def __post_init__(self) -> None:
        """
        Raises:
            InputError: a field holds something else than it declares.
        """
        for name, kind in hints(type(self)).items():
            given = getattr(self, name)
            value = declared(given, kind, f"{self.where}.{name}")
            if value is not given:
                object.__setattr__(self, name, value)


@cache
def hints(part: type) -> dict[str, Any]:
    """What each field of a part declares."""
    found = typing.get_type_hints(part)
    return {field.name: found[field.name] for field in fields(part)}


def named(name: str) -> type[Part] | None:
    """The part of that name, among those of the modules that are imported."""
    waiting: list[type[Part]] = [Part]
    while waiting:
        kind = waiting.pop()
        if kind.__name__ == name and is_dataclass(kind):
            return kind
        waiting += kind.__subclasses__()
    return None


def optional(kind: Any) -> Any:
    """The kind that a field declares which may also be None; any other as it is."""
    return next((each for each in typing.get_args(kind) if each is not type(None)), kind) if _union(kind) else kind


def declared(value: Any, kind: Any, where: str) -> Any:
    """The value, if it is of that kind. A whole number given for a number becomes one: equal parts are written alike.

    Raises:
        InputError: it is not.
    """
    if not _fits(value, kind):
        if isinstance(value, str) and typing.get_origin(optional(kind)) is typing.Literal:
            raise one_of(f"value of {where}", value, typing.get_args(optional(kind)))
        raise InputError(f"{where} must be {_words(kind)}, got {' '.join(repr(value).split())[:100]}")
    return _exact(value, optional(kind))


def parse(text: str, kind: Any, where: str) -> Any:
    """A value of that kind as it is written on a command line.

    Raises:
        InputError: no such value can be read from it.
    """
    if _union(kind):
        return None if text.lower() == "none" else parse(text, optional(kind), where)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        items = [item.strip() for item in text.split(",") if item.strip()]
        if arguments[-1] is not Ellipsis and len(items) != len(arguments):
            raise InputError(f"{where} must be {len(arguments)} values separated by commas, got {text!r}")
        return tuple(parse(item, arguments[0], where) for item in items)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{where} must be {WORDS[bool]}, got {text!r}")
        return text.lower() == "true"
    if isinstance(kind, type) and issubclass(kind, Part):
        first = next(iter(hints(kind)), "field") if is_dataclass(kind) else "field"
        raise InputError(f"{where} is a part with fields of its own; set those, for example {where}.{first}=…")
    try:
        return kind(text) if kind in (int, float) else text
    except ValueError:
        raise InputError(f"{where} must be {WORDS[kind]}, got {text!r}") from None


def _union(kind: Any) -> bool:
    return typing.get_origin(kind) in (types.UnionType, typing.Union)


def _fits(value: Any, kind: Any) -> bool:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if _union(kind):
        return any(_fits(value, each) for each in arguments)
    if origin is tuple:
        kinds = arguments[:1] * len(value) if isinstance(value, tuple) and arguments[-1] is Ellipsis else arguments
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    if origin is typing.Literal:
        return isinstance(value, str) and value in arguments
    if kind in (int, float):  # True is an int to Python, and NaN a float: neither is a number to anyone else
        allowed = (int, float) if kind is float else int
        return isinstance(value, allowed) and not isinstance(value, bool) and value <= math.inf
    return isinstance(value, kind)


def _words(kind: Any) -> str:
    arguments = typing.get_args(kind)
    if _union(kind):
        return " or ".join(_words(each) for each in arguments)
    if typing.get_origin(kind) is tuple:
        count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"a tuple of {count}values, each {_words(arguments[0])}"
    if typing.get_origin(kind) is typing.Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if kind is type(None):
        return "none"
    return WORDS.get(kind) or f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def _exact(value: Any, kind: Any) -> Any:
    if isinstance(value, tuple):
        arguments = typing.get_args(kind)
        changed = tuple(_exact(item, arguments[0]) for item in value)
        return value if all(new is old for new, old in zip(changed, value, strict=True)) else changed
    return float(value) if kind is float and type(value) is int else value
