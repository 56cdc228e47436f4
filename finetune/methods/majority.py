"""The label that most training rows have, whatever is asked: below its score nothing was learned.

N examples of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from finetune.methods import Material, Pretrained, Solved, Trainee
from finetune.progress import Silent

if TYPE_CHECKING:
    from transformers.modeling_outputs import SequenceClassifierOutput


@dataclass(frozen=True, kw_only=True)
class Majority(Solved):
    """Reads no input and trains no weight: logits are the logarithms of the labels' shares of the training rows."""

    def trainee(self, material: Material) -> Trainee:
        self.check_labels(material)
        module = Shares(len(material.labels)).to(material.device)
        return Trainee(
            module=module,
            examples=material.examples,
            parameters=len(material.labels),
            solve=partial(module.count, material.examples["train"].targets),
        )

    def restore(self, start: Pretrained, folder: Path) -> nn.Module:
        module = Shares(len(start.labels))
        module.load_state_dict(self.saved(folder))
        return module.to(start.device).eval()


class Shares(nn.Module):
    """The same logits for every input."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.logits_C = nn.Parameter(torch.zeros(classes))

    @torch.no_grad()
    def count(self, targets_N: np.ndarray, progress: Silent) -> int:
        """Returns the passes over features: none."""
        counts_C = np.bincount(targets_N, minlength=len(self.logits_C)) + 0.5  # a label that no row has is not nothing
        self.logits_C.copy_(torch.from_numpy(np.log(counts_C / counts_C.sum())))
        return 0

    def forward(self, **inputs: Tensor) -> SequenceClassifierOutput:
        from transformers.modeling_outputs import SequenceClassifierOutput

        return SequenceClassifierOutput(logits=self.logits_C.expand(_count(inputs), -1))  # pyright: ignore


def _count(inputs: Mapping[str, Tensor]) -> int:
    return len(next(iter(inputs.values())))
