"""Full fine-tuning: every weight moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from finetune.anatomy import anatomy, backbone
from finetune.methods import Method
from finetune.optim import AdamW

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Full(Method):
    """Every weight that the task uses moves."""

    optim: AdamW = AdamW(learning_rate=5e-5)

    def prepare(self, model: PreTrainedModel, head: tuple[str, ...]) -> nn.Module:
        model.requires_grad_(True)
        for name, parameter in backbone(model).named_parameters():
            if name in anatomy(model).pretraining:
                parameter.requires_grad_(False)
        return model
