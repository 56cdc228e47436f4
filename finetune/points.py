"""The record of a study: what was measured at which points, once for each seed, and what it takes to read that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from finetune.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """Something that is measured."""

    name: str  # with its unit, where it has one
    steep: bool = False  # it spans powers of ten: its mean is the geometric one, and its axis logarithmic
    drawn: bool = True  # in the figure; in the table it is in any case
    least: float | None = None  # what it cannot be below, so that no interval says it can; None: no such bound
    most: float | None = None


@dataclass(frozen=True, kw_only=True)
class Point:
    """What one seed came to at one place."""

    line: str  # what is compared
    at: float  # what it is varied over
    values: Mapping[str, float]  # by the names of the quantities
    panel: str = ""  # where the same is asked more than once: of what


@dataclass(frozen=True, kw_only=True)
class Series:
    """A point over its seeds."""

    panel: str
    line: str
    at: float
    values: Mapping[str, Sequence[float]]  # a number for each seed, in their order


@dataclass(frozen=True, kw_only=True)
class Points:
    """A study over its seeds, which are 0, 1, 2 and so on."""

    name: str  # of the study; empty: of what else it is, its title says
    title: str
    panels: str  # what the points' panels are; empty where there is one
    lines: str  # and their lines
    along: str  # and their places
    quantities: Sequence[Quantity]
    notes: Sequence[str]  # what a reader must know of the numbers
    settings: Mapping[str, Any]
    seeds: int
    seconds: float | None  # that the study took; None: they are those of runs
    series: Sequence[Series]

    @staticmethod
    def over(runs: Sequence[Sequence[Point]], **about: Any) -> Points:
        """The points of several seeds put together; every seed has the same ones in the same order."""
        together = [
            Series(
                panel=first.panel,
                line=first.line,
                at=first.at,
                values={name: [point.values[name] for point in (first, *others)] for name in first.values},
            )
            for first, *others in zip(*runs, strict=True)
        ]
        return Points(seeds=len(runs), series=together, **about)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Points:
        """The record that `to_json` wrote.

        Raises:
            InputError: it is no record of a study.
        """
        try:
            quantities = [Quantity(**each) for each in value["quantities"]]
            series = [Series(**each) for each in value["series"]]
            return Points(**{**value, "quantities": quantities, "series": series})
        except (KeyError, TypeError) as error:
            raise InputError(f"no record of a study ({error})") from error
