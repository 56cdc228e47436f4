"""Feature extraction: the backbone stays as it is, and a linear head learns from what it says.

N examples of a batch, E width, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finetune.anatomy import backbone
from finetune.errors import InputError
from finetune.features import check_pooling, pool
from finetune.methods import Material, Method, Pretrained, Trainee
from finetune.optim import AdamW, Budget
from finetune.precision import cast

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.modeling_outputs import SequenceClassifierOutput


@dataclass(frozen=True, kw_only=True)
class Frozen(Method):
    """Every example goes through the backbone once; the head then passes over the features `epochs` times.

    Which vector stands for an example matters more than most of what is tuned: `pooling` is the first token's (cls),
    the mean over all tokens, or the last token's.
    """

    pooling: str = "mean"
    epochs: int = 100
    batch_size: int = 64
    # a linear head's loss is convex: small steps on it with an L2 penalty come out at regularised logistic regression
    optim: AdamW = AdamW(learning_rate=1e-2, weight_decay=5e-3, decoupled=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pooling(self.pooling)
        if self.epochs < 1 or self.batch_size < 1:
            raise InputError(
                f"method.epochs and method.batch_size must be at least 1, got {self.epochs} and {self.batch_size}"
            )

    def prepare(self, model: PreTrainedModel, head: tuple[str, ...]) -> PreTrainedModel:
        return model.requires_grad_(False).eval()

    def budget(self, budget: Budget) -> Budget:
        # of the head; the backbone is passed once, whatever the recipe says
        return replace(budget, epochs=self.epochs, batch_size=self.batch_size)

    def trainee(self, material: Material) -> Trainee:
        features, facts = material.extraction(
            lambda: material.build(material.weights)[0], material.examples, self.pooling
        )
        train = features["train"]
        # the head is small: it is trained in float32, whatever the device is fast in
        head = Head(train.batch(np.arange(len(train))).inputs["features"], len(material.labels)).to(material.device)
        return Trainee(
            module=head,
            examples=features,
            parameters=facts.parameters + sum(parameter.numel() for parameter in head.parameters()),
            feature_seconds=facts.seconds,
            feature_memory=facts.peak_memory_bytes,
        )

    def save(self, module: nn.Module, start: Pretrained, folder: Path) -> Path:
        (folder / "head").mkdir(exist_ok=True)
        save_file(module.state_dict(), folder / "head" / "head.safetensors")
        return folder / "head"

    def restore(self, start: Pretrained, folder: Path) -> nn.Module:
        stored = load_file(folder / "head" / "head.safetensors")
        head = Head(stored["centre_E"][None], len(start.labels))
        head.load_state_dict(stored)
        model, own = start.build(start.weights)
        body = cast(backbone(self.prepare(model, own)), start.device, start.dtype)
        return Probe(body, head.to(start.device), self.pooling).eval()


class Head(nn.Module):
    """A linear classifier of features brought to mean 0 and deviation 1, as the training rows have them."""

    centre_E: Tensor
    scale_E: Tensor

    def __init__(self, features_NE: Tensor, classes: int) -> None:
        super().__init__()
        deviation_E = features_NE.std(dim=0, correction=0)
        self.register_buffer("centre_E", features_NE.mean(dim=0))
        # a feature that never varies says nothing: left alone, not blown up by a division by nothing
        self.register_buffer("scale_E", torch.where(deviation_E > 1e-6, deviation_E, 1.0))
        self.linear = nn.Linear(features_NE.shape[1], classes)

    def forward(self, features: Tensor) -> SequenceClassifierOutput:
        from transformers.modeling_outputs import SequenceClassifierOutput

        return SequenceClassifierOutput(logits=self.linear((features.float() - self.centre_E) / self.scale_E))


class Probe(nn.Module):
    """Backbone, pooling and head as one predictor, for inputs whose features nobody has taken yet."""

    def __init__(self, body: PreTrainedModel, head: Head, pooling: str) -> None:
        super().__init__()
        self.body, self.head, self.pooling = body, head, pooling

    def forward(self, **inputs: Tensor) -> SequenceClassifierOutput:
        return self.head(pool(self.body, inputs)[self.pooling])
