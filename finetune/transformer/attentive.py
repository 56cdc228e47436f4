"""What all systems of attention blocks let one choose: how large they are, what is in a block, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from finetune.attention.cores import Core
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.positions import Position
from finetune.attention.positions.learned import LearnedPositions
from finetune.attention.positions.sinusoidal import Sinusoidal
from finetune.errors import InputError
from finetune.transformer.embedding import stands_beside
from finetune.transformer.norms import Norm
from finetune.transformer.norms.layer import LayerNorm
from finetune.transformer.systems import System, Vocabulary


@dataclass(frozen=True, kw_only=True)
class Attentive(System):
    """The fields of such a system.

    Post-norm is the paper's: x ← norm(x + f(x)). Pre-norm is x ← x + f(norm(x)), and one norm after the last block
    (Xiong and others 2020, arXiv 2002.04745): gradients of deep stacks stay alike without a warm-up.
    """

    width: int = 128  # E, of every vector between blocks
    heads: int = 4
    layers: int = 3  # blocks; of an encoder–decoder, in each half
    inner: int = 512  # width inside the feed-forward network
    dropout: float = 0.1  # of embeddings, of attention's weights, inside and after each half of a block
    norm: Norm = LayerNorm()
    order: Literal["pre", "post"] = "pre"  # the norm before each half of a block, or after it
    core: Core = ScaledDotProduct()
    positions: Position | None = Sinusoidal()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "heads", "layers", "inner"):
            if getattr(self, name) < 1:
                raise InputError(f"{self.where}.{name} must be at least 1, got {getattr(self, name)}")
        if self.width % self.heads:
            raise InputError(f"{self.where}.heads must divide {self.where}.width, {self.width}, got {self.heads}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"{self.where}.dropout must be in [0, 1), got {self.dropout}")
        if self.core.position is not None:
            raise InputError(
                f"{self.where}.core.position must be none, got {self.core.position}: a system of one's own is told "
                f"positions by {self.where}.positions"
            )

    @property
    def looking_within(self) -> Core:
        """The core of self-attention: where positions are relative, it is told them."""
        return self.core if stands_beside(self.positions) else replace(self.core, position=self.positions)

    @property
    def looking_across(self) -> Core:
        """The core of cross-attention: between the tokens of two texts there is no distance to be told."""
        return replace(self.core, position=None)

    def config(self, vocabulary: Vocabulary | None) -> dict[str, Any]:
        rows = self.positions.length if isinstance(self.positions, LearnedPositions) else None
        return super().config(vocabulary) | {
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "max_position_embeddings": rows,
        }
