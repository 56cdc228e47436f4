"""A linear head on features: the only thing that learns where the backbone is frozen.

N examples of a batch, E width, C outputs: one for each class, or one that is the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from finetune.encode import Features
from finetune.features import LAST
from finetune.objective import Objective
from finetune.progress import Silent

if TYPE_CHECKING:
    from transformers.modeling_outputs import SequenceClassifierOutput


class Head(nn.Module):
    """It reads features brought to mean 0 and deviation 1, as the training rows have them.

    Args:
        layer, pooling: where in the backbone they come from.
    """

    centre_E: Tensor
    scale_E: Tensor

    def __init__(self, features_NE: Tensor, outputs: int, layer: int = LAST, pooling: str = "mean") -> None:
        super().__init__()
        self.layer, self.pooling = layer, pooling
        deviation_E = features_NE.std(dim=0, correction=0)
        self.register_buffer("centre_E", features_NE.mean(dim=0))
        # a feature that never varies says nothing: left alone, not blown up by a division by nothing
        self.register_buffer("scale_E", torch.where(deviation_E > 1e-6, deviation_E, 1.0))
        self.linear = nn.Linear(features_NE.shape[1], outputs)

    def solve(self, objective: Objective, train: Features, penalty: float, progress: Silent) -> int:
        """Fit it to features and their targets; returns the passes over them."""
        targets_N = torch.from_numpy(train.targets)
        return objective.solve(self.linear, train.features_NE, targets_N, penalty, progress, self.brought)

    def brought(self, features_NE: Tensor) -> Tensor:
        return (features_NE.to(self.centre_E) - self.centre_E) / self.scale_E

    def forward(self, features: Tensor) -> SequenceClassifierOutput:
        from transformers.modeling_outputs import SequenceClassifierOutput

        return SequenceClassifierOutput(logits=self.linear(self.brought(features)))
