"""Full fine-tuning: every weight moves."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from finetune.methods import Method
from finetune.optim import AdamW


@dataclass(frozen=True, kw_only=True)
class Full(Method):
    """Every weight of backbone and head moves."""

    optim: AdamW = AdamW(learning_rate=5e-5)

    def prepare(self, model: PreTrainedModel, head: tuple[str, ...]) -> nn.Module:
        return model.requires_grad_(True)
