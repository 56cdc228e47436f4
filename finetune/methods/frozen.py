"""Feature extraction: the backbone stays as it is, and a linear head learns from what it says.

N examples of a batch, E width, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from finetune.anatomy import backbone
from finetune.encode import Features
from finetune.errors import InputError
from finetune.features import check_pooling, pool
from finetune.methods import Material, Pretrained, Solved, Trainee
from finetune.precision import cast
from finetune.progress import Silent
from finetune.solve import logistic

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.modeling_outputs import SequenceClassifierOutput


@dataclass(frozen=True, kw_only=True)
class Frozen(Solved):
    """Every example goes through the backbone once; the head is solved for: a penalised logistic regression.

    Which vector stands for an example matters more than most of what is tuned: `pooling` is the first token's (cls),
    the mean over all tokens, or the last token's.
    """

    pooling: str = "mean"
    penalty: float = 5e-3  # half of it times the sum of the head's squared weights is added to the mean loss

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pooling(self.pooling)
        if not 0 <= self.penalty < math.inf:
            raise InputError(f"method.penalty must be at least 0 and finite, got {self.penalty}")

    def trainee(self, material: Material) -> Trainee:
        features, facts = material.extraction(
            lambda: material.build(material.weights)[0], material.examples, self.pooling
        )
        train = features["train"]
        # the head is small: it is in float32, whatever the device is fast in
        head = Head(train.features_NE, len(material.labels)).to(material.device)
        return Trainee(
            module=head,
            examples=features,
            parameters=facts.parameters + sum(parameter.numel() for parameter in head.parameters()),
            feature_seconds=facts.seconds,
            feature_memory=facts.peak_memory_bytes,
            solve=partial(head.solve, train, self.penalty),
        )

    def restore(self, start: Pretrained, folder: Path) -> nn.Module:
        stored = self.saved(folder)
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

    def solve(self, train: Features, penalty: float, progress: Silent) -> int:
        """Fit it to features and their labels; returns the passes over them."""
        targets_N = torch.from_numpy(train.targets)
        return logistic(self.linear, train.features_NE, targets_N, penalty, progress, self.brought)

    def brought(self, features_NE: Tensor) -> Tensor:
        return (features_NE.to(self.centre_E) - self.centre_E) / self.scale_E

    def forward(self, features: Tensor) -> SequenceClassifierOutput:
        from transformers.modeling_outputs import SequenceClassifierOutput

        return SequenceClassifierOutput(logits=self.linear(self.brought(features)))


class Probe(nn.Module):
    """Backbone, pooling and head as one predictor, for inputs whose features nobody has taken yet."""

    def __init__(self, body: PreTrainedModel, head: Head, pooling: str) -> None:
        super().__init__()
        self.body, self.head, self.pooling = body, head, pooling

    def forward(self, **inputs: Tensor) -> SequenceClassifierOutput:
        return self.head(pool(self.body, inputs)[self.pooling])
