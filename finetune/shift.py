"""The record of a run elsewhere: what it scores on rows of another origin, and what its backbone still knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from finetune.errors import InputError
from finetune.items import Items
from finetune.result import Result
from finetune.stats import Estimate


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """What a run scores on rows that its own data set does not have."""

    of: str  # data set, for people
    scores: Mapping[str, Estimate]  # the headline first
    items: Items | None
    others: int  # rows that were left out because the run does not know their label
    own: int  # those left out of the others because the run's own data set has their text too

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Elsewhere:
        scores = {name: Estimate(**each) for name, each in value["scores"].items()}
        items = None if value["items"] is None else Items(**value["items"])
        return Elsewhere(**{**value, "scores": scores, "items": items})


@dataclass(frozen=True, kw_only=True)
class Language:
    """The loss of a decoder that is asked for the next token, in nats a token, with the checkpoint's own head."""

    before: Estimate  # of the pretrained backbone; so many texts
    after: Estimate  # of the trained one
    change: Estimate  # text by text
    tokens: int

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Language:
        estimates = {name: Estimate(**value[name]) for name in ("before", "after", "change")}
        return Language(**estimates, tokens=value["tokens"])


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the nearest neighbours of a backbone's features say of rows that the run was not about."""

    of: str  # data set, for people
    train: int  # rows that are neighbours
    neighbours: int  # that are asked
    trained: bool  # whether the method moves the backbone; if not, after is before
    before: Items  # of the test rows, those about which the neighbours were right: with the pretrained backbone
    after: Items  # with the trained one
    language: Language | None  # None: the checkpoint writes no text, or comes without the head for it

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Reference:
        items = {name: Items(**value[name]) for name in ("before", "after")}
        language = None if value["language"] is None else Language.from_json(value["language"])
        return Reference(**{**value, **items, "language": language})


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One run elsewhere. What is None was not measured."""

    result: Result
    elsewhere: Elsewhere | None = None
    reference: Reference | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"result": self.result.to_json()}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Shift:
        """The record that `to_json` wrote.

        Raises:
            InputError: it was written by another version, or is something else.
        """
        if not isinstance(value, Mapping) or set(value) != {"result", "elsewhere", "reference"}:
            raise InputError(
                f"a record of `finetune elsewhere` is to have all fields of Shift, got {str(value)[:60]!r}"
            )
        elsewhere, reference = value["elsewhere"], value["reference"]
        try:
            return Shift(
                result=Result.from_json(value["result"]),
                elsewhere=None if elsewhere is None else Elsewhere.from_json(elsewhere),
                reference=None if reference is None else Reference.from_json(reference),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"a record of `finetune elsewhere` is of another version: {error!r}") from error
