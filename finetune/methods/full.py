"""Full fine-tuning: every weight moves."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from finetune.anatomy import anatomy, backbone
from finetune.methods import Method
from finetune.optim import AdamW


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
