"""No part of a recipe holds what its fields do not declare: held against every alternative of every axis."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import typing
from dataclasses import dataclass, is_dataclass
from typing import Any

import pytest

from finetune import (
    AdamW,
    Budget,
    Classification,
    Files,
    Frozen,
    Full,
    Hub,
    InputError,
    LoRA,
    MultiHead,
    Packaged,
    Recipe,
    Split,
    augmentations,
    axes,
    data,
    methods,
    tasks,
)
from finetune.attention import cores, positions
from finetune.attention.cores.sliding_window import SlidingWindow
from finetune.attention.positions.rotary import Rotary
from finetune.engines import Engine
from finetune.parts import Part, hints, optional, parse
from finetune.studies import Study
from finetune.transformer import norms, scores, systems, tokenizers

WRONG: dict[Any, list[Any]] = {
    int: ["8", 1.5, True, None, [8]],
    float: ["1e-3", True, None, math.nan, 1j],
    str: [8, None, b"text", ["text"]],
    bool: [1, "true", None],
    typing.Literal: ["no such word", 3, None, ["linear"]],
    tuple: ["query", 3, None, ["query"], (object(),)],
}


def every_part() -> list[type[Part]]:
    """Every class of ours that a recipe can hold, and the recipe itself: a new one is found without a list."""
    for axis in (augmentations, cores, data, methods, norms, positions, scores, systems, tasks, tokenizers):
        axes.every(axis, object)  # imports its modules
    found, waiting = [], [Part]
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting += below
        found += [kind for kind in below if is_dataclass(kind) and kind.__module__.startswith("finetune.")]
    # an engine and a study are parts of a command, with fields of its own to set
    found = [kind for kind in found if not inspect.isabstract(kind) and not issubclass(kind, Engine | Study)]
    return sorted(set(found), key=lambda kind: kind.__name__)


PARTS = every_part()
FIELDS = [(part, name) for part in PARTS for name in hints(part)]


def sample(kind: Any) -> Any:
    """A value of the kind, whether or not it makes sense."""
    simple = {int: 1, float: 0.5, str: "x", bool: True}
    if kind in simple:
        return simple[kind]
    for part in sorted(PARTS, key=lambda each: len(bare(each))):  # one of others comes last: it would need them first
        if issubclass(part, kind):
            try:
                return part(**required(part))
            except InputError:
                continue
    raise AssertionError(f"no part is a {kind}")


def bare(part: type[Part]) -> list[str]:
    """The fields that have no default."""
    return [f.name for f in dataclasses.fields(part) if f.default is dataclasses.MISSING]  # pyright: ignore


def required(part: type[Part], but: str = "") -> dict[str, Any]:
    """Values for the fields that have no default."""
    return {name: sample(hints(part)[name]) for name in bare(part) if name != but}


def below(contract: type[Part], name: str) -> Any:
    """What a field is declared as by one of those that keep a contract."""
    return next(hints(part)[name] for part in PARTS if issubclass(part, contract) and name in hints(part))


def test_every_axis_and_every_other_part_of_a_recipe_is_held_to_it() -> None:
    named = {Packaged, Hub, Files, Classification, Frozen, Full, LoRA, MultiHead, Split, Budget, AdamW, Recipe}
    assert named | {SlidingWindow, Rotary} <= set(PARTS)
    alternatives = [
        *axes.every(augmentations, augmentations.Augmentation),
        *axes.every(data, data.Data),
        *axes.every(methods, methods.Method),
        *axes.every(tasks, tasks.Task),
        *axes.every(cores, cores.Core),
        *axes.every(positions, positions.Position),
        *axes.every(norms, norms.Norm),
        *axes.every(scores, scores.Score),
        *axes.every(systems, systems.System),
        *axes.every(tokenizers, tokenizers.Tokenizer),
    ]
    assert len(alternatives) > 20
    assert set(alternatives) <= set(PARTS)


@pytest.mark.parametrize(("part", "name"), FIELDS, ids=[f"{part.__name__}.{name}" for part, name in FIELDS])
def test_a_field_holds_nothing_but_what_it_declares(part: type[Part], name: str) -> None:
    declared = hints(part)[name]
    kind = optional(declared)
    wrong = WRONG.get(kind) or WRONG.get(typing.get_origin(kind)) or ["x", 1, AdamW, object()]
    tried = 0
    for value in wrong:
        if value is None and declared is not kind:
            continue
        with pytest.raises(InputError, match=rf"(^|value of ){re.escape(f'{part.where}.{name}')} "):
            part(**{name: value}, **required(part, but=name))
        tried += 1
    assert tried >= 2


@pytest.mark.parametrize(
    ("part", "fields", "words"),
    [
        (LoRA, {"rank": "8"}, "method.rank must be a whole number, got '8'"),
        (LoRA, {"rank": 8.0}, "method.rank must be a whole number, got 8.0"),
        (LoRA, {"rank": True}, "method.rank must be a whole number, got True"),
        (LoRA, {"targets": "query"}, "method.targets must be a tuple of values, each text, got 'query'"),
        (Split, {"train_rows": "64"}, "split.train_rows must be a whole number or none, got '64'"),
        (Budget, {"epochs": None}, "budget.epochs must be a whole number, got None"),
        (AdamW, {"learning_rate": "1e-3"}, "method.optim.learning_rate must be a number, got '1e-3'"),
        (AdamW, {"learning_rate": math.nan}, "method.optim.learning_rate must be a number, got nan"),
        (AdamW, {"betas": (0.9,)}, "method.optim.betas must be a tuple of 2 values, each a number, got (0.9,)"),
        (AdamW, {"decay": "linaer"}, "unknown value of method.optim.decay 'linaer'; did you mean 'linear'?"),
        (AdamW, {"decay": 3}, "method.optim.decay must be one of linear, cosine, constant, got 3"),
        (Files, {"train": None}, "data.train must be text, got None"),
        (Packaged, {"name": 3}, "checkpoint.name must be text, got 3"),
        (Full, {"optim": "adam"}, "method.optim must be an AdamW, got 'adam'"),
        (SlidingWindow, {"width": "4"}, "attention.core.width must be a whole number, got '4'"),
        (SlidingWindow, {"position": 3}, "attention.core.position must be a Position or none, got 3"),
        (Rotary, {"base": None}, "attention.core.position.base must be a number, got None"),
        (MultiHead, {"core": "linear"}, "attention.core must be a Core, got 'linear'"),
        (Recipe, {"seed": "1"}, "recipe.seed must be a whole number, got '1'"),
    ],
)
def test_a_wrong_type_is_answered_in_the_words_of_set(part: type[Part], fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(words)}"):
        part(**required(part) | fields)


def test_a_whole_number_given_for_a_number_is_that_number_and_written_like_it() -> None:
    assert repr(LoRA(alpha=16)) == repr(LoRA(alpha=16.0))
    assert repr(AdamW(learning_rate=1, betas=(0, 0.5))) == repr(AdamW(learning_rate=1.0, betas=(0.0, 0.5)))


def test_a_part_of_ones_own_is_held_to_it_without_a_line_about_it() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Mine(Full):
        strength: float = 1.0

    with pytest.raises(InputError, match=r"method\.strength must be a number, got 'much'"):
        Mine(strength="much")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [("16", int, 16), ("1e-3", float, 1e-3), ("none", int | None, None), ("2", int | None, 2), ("TRUE", bool, True)],
)
def test_text_is_read_as_the_field_declares(text: str, kind: Any, value: Any) -> None:
    assert parse(text, kind, "x") == value


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_where_a_part_says_it_stands_is_where_set_finds_it(part: type[Part]) -> None:
    place: Any = Recipe
    for name in part.where.split(".") if part is not Recipe else ():
        declared = hints(place).get(name) if is_dataclass(place) else None
        # a method's optim is declared by its contract, a blank checkpoint's system by that checkpoint alone
        place = optional(declared or typing.get_type_hints(place).get(name) or below(typing.cast(Any, place), name))
    assert issubclass(part, place)
