"""The record of a plan: what a run is expected to take on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run is expected to take."""

    recipe: str
    method: str
    attention: str
    seconds: Mapping[str, float]  # load, features, train, eval
    memory: Mapping[str, int]  # bytes at the peak, by cause: libraries, weights, gradients, optimizer, activations
    disk: Mapping[str, int]  # bytes: trained, cache
    rows: int  # that train
    updates: int
    parameters: Mapping[str, int]  # total, trained

    @property
    def peak(self) -> int:
        """Bytes."""
        return sum(self.memory.values())
