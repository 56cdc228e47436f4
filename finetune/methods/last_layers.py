"""Partial fine-tuning: the last blocks and the head move, everything below them stays as it is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from finetune.anatomy import blocks, norm
from finetune.errors import InputError
from finetune.methods import Method, freeze
from finetune.optim import AdamW


@dataclass(frozen=True, kw_only=True)
class LastLayers(Method):
    """The last `layers` blocks, the norm after them and the head move; nothing is computed backwards below them."""

    layers: int = 2
    optim: AdamW = AdamW(learning_rate=1e-4)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers < 1:
            raise InputError(f"method.layers must be at least 1, got {self.layers}")

    def prepare(self, model: PreTrainedModel, head: tuple[str, ...]) -> nn.Module:
        every = blocks(model)
        if self.layers > len(every):
            raise InputError(f"method.layers must be at most the model's {len(every)} blocks, got {self.layers}")
        freeze(model, but=head)
        for part in (*every[-self.layers :], norm(model)):
            part.requires_grad_(True)
        return model
