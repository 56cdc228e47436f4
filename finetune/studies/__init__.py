"""Small measurements without any training: why the parts of a Transformer are as they are.

A study is a frozen value; `measure` is one seed of it, and what is told is always the mean of several.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import ClassVar

import torch

from finetune.errors import InputError
from finetune.parts import Part
from finetune.points import Point, Points, Quantity

LEAST = 3  # seeds: an interval of fewer says next to nothing


@dataclass(frozen=True, kw_only=True)
class Study(Part, ABC):
    """What it asks, and how it is measured. Its fields are what there is to change."""

    where: ClassVar[str] = "study"
    title: ClassVar[str]
    panels: ClassVar[str] = ""  # what the points' panels are; empty where there is one
    lines: ClassVar[str]
    along: ClassVar[str]
    quantities: ClassVar[tuple[Quantity, ...]]
    notes: ClassVar[tuple[str, ...]]  # below the table: what was measured, and where it comes from

    @abstractmethod
    def measure(self, seed: int) -> Iterable[Point]:
        """The points of one seed, the same places in the same order for every one.

        torch's own random numbers are the seed's already.
        """

    def over(self, seeds: int) -> Points:
        """
        Raises:
            InputError: too few seeds.
        """
        if seeds < LEAST:
            raise InputError(f"--seeds must be at least {LEAST}, for an interval of the mean over them, got {seeds}")
        start = time.perf_counter()
        runs = [self._seeded(seed) for seed in range(seeds)]
        return Points.over(
            runs,
            name=type(self).__module__.rpartition(".")[2],
            title=self.title,
            panels=self.panels,
            lines=self.lines,
            along=self.along,
            quantities=self.quantities,
            notes=self.notes,
            settings={field.name: getattr(self, field.name) for field in fields(self)},
            seconds=time.perf_counter() - start,
        )

    def _seeded(self, seed: int) -> list[Point]:
        """A seed's points, and torch's random numbers afterwards as they were before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return list(self.measure(seed))

    def check_at_least(self, least: int, *names: str) -> None:
        """
        Raises:
            InputError: a field, or a number of it, is smaller.
        """
        for name in names:
            given = getattr(self, name)
            if not (numbers := given if isinstance(given, tuple) else (given,)) or min(numbers) < least:
                raise InputError(f"{self.where}.{name} must be at least {least}, got {given}")
