"""Learned relative positions: a number for each head and each range of distances, added to the scores.

H heads, T queries, S keys.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from finetune.attention.positions import Learned, Position
from finetune.errors import InputError


@dataclass(frozen=True, kw_only=True)
class T5Bias(Position):
    """T5's relative positions (Raffel and others 2020, arXiv 1910.10683, section 2.1).

    Half of the buckets hold one distance each, the others grow with its logarithm, and the last one holds `distance`
    and all beyond. Costs O(T · S), and `buckets` · H parameters. The table begins as zeros: a pretrained model starts
    unchanged.

    Args:
        causal: all buckets for keys behind the query; otherwise one half for those ahead.
    """

    buckets: int = 32
    distance: int = 128
    causal: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        least = 2 if self.causal else 4
        if self.buckets < least:
            raise InputError(f"{self.where}.buckets must be at least {least}, got {self.buckets}")
        if self.distance <= self._exact:
            raise InputError(f"{self.where}.distance must be more than {self._exact}, got {self.distance}")

    def learned(self, width: int, heads: int) -> dict[str, Tensor]:
        return {"buckets": torch.zeros(self.buckets, heads)}

    def bias(self, rows_T: Tensor, columns_S: Tensor, heads: int, learned: Learned) -> Tensor:
        return F.embedding(self.bucket(columns_S - rows_T[:, None]), learned["buckets"]).permute(2, 0, 1)

    def bucket(self, ahead_TS: Tensor) -> Tensor:
        """Which bucket a key is in that stands so many positions ahead of its query; behind it is less than 0."""
        away_TS = (-ahead_TS).clamp(min=0) if self.causal else ahead_TS.abs()
        growth = (away_TS.clamp(min=self._exact) / self._exact).log() / math.log(self.distance / self._exact)
        far_TS = self._exact + (growth * (self._side - self._exact)).long()
        found_TS = torch.where(away_TS < self._exact, away_TS, far_TS.clamp(max=self._side - 1))
        return found_TS if self.causal else found_TS + (ahead_TS > 0) * self._side

    @property
    def _side(self) -> int:
        """Buckets for keys on one side of the query."""
        return self.buckets if self.causal else self.buckets // 2

    @property
    def _exact(self) -> int:
        """Those of them that hold a single distance."""
        return self._side // 2
