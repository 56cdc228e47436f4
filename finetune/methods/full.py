"""Full fine-tuning: every weight moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel

from finetune.methods import Material, Method
from finetune.optim import AdamW


@dataclass(frozen=True, kw_only=True)
class Full(Method):
    """Every weight of backbone and head moves. Saved as a model for `AutoModelFor….from_pretrained` and `pipeline`."""

    optim: AdamW = AdamW(learning_rate=5e-5)

    def prepare(self, model: PreTrainedModel, head: tuple[str, ...]) -> nn.Module:
        return model.requires_grad_(True)

    def save(self, module: nn.Module, folder: Path) -> Path:
        assert isinstance(module, PreTrainedModel)
        module.save_pretrained(folder / "model")
        return folder / "model"

    def restore(self, material: Material, folder: Path) -> nn.Module:
        model, _ = material.build(replace(material.weights, folder=folder / "model"))
        return model.eval()
