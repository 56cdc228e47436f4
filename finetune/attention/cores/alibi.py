"""Dot-product attention that tells distance by lowering scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.positions import Position
from finetune.attention.positions.alibi import Alibi


@dataclass(frozen=True, kw_only=True)
class AlibiAttention(ScaledDotProduct):
    """softmax(QKᵀ/√D − slope_h · |t − s|)V (Press and others 2021, arXiv 2108.12409).

    Costs O(T · S). A pretrained model keeps the positions it has: without training its first heads turn to their
    neighbours, its last ones hardly change.
    """

    exact: ClassVar[bool] = False

    position: Position | None = Alibi()
