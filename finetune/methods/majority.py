"""The label that most training rows have, whatever is asked: below its score nothing was learned. Of values the mean.

Of words that are tagged one by one it is the tag that most of them have.

N examples of a batch, T tokens, C outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from finetune.methods import Material, Pretrained, Solved, Trainee
from finetune.objective import Objective
from finetune.progress import Silent

if TYPE_CHECKING:
    from transformers.modeling_outputs import SequenceClassifierOutput


@dataclass(frozen=True, kw_only=True)
class Majority(Solved):
    """Reads no input and trains no weight: logits are the logarithms of the labels' shares of the training rows.

    Of values it is their mean: a correlation of 0, and the mean absolute error that is to be beaten.
    """

    bare: ClassVar[bool] = True

    def trainee(self, material: Material) -> Trainee:
        objective, train = self.objective(material), material.examples["train"]
        module = Constant(objective.outputs, words=train.places is not None).to(material.device)
        return Trainee(
            module=module,
            examples=material.examples,
            parameters=objective.outputs,
            solve=partial(module.solve, objective, train.answers),
        )

    def says(self, module: nn.Module) -> dict[str, Any]:
        assert isinstance(module, Constant)
        return {"words": True} if module.words else {}

    def restore(self, start: Pretrained, folder: Path) -> nn.Module:
        module = Constant(self.objective(start).outputs, words="words" in self.told(folder))
        module.load_state_dict(self.saved(folder))
        return module.to(start.device).eval()


class Constant(nn.Module):
    """The same outputs for every input.

    Args:
        words: whether each token has them, of which some begin a word.
    """

    def __init__(self, outputs: int, *, words: bool) -> None:
        super().__init__()
        self.words = words
        self.logits_C = nn.Parameter(torch.full((outputs,), torch.nan))  # until it is solved for

    @torch.no_grad()
    def solve(self, objective: Objective, targets_N: np.ndarray, progress: Silent) -> int:
        """Returns the passes over features: none."""
        self.logits_C.copy_(torch.from_numpy(objective.constant(targets_N)))
        return 0

    def forward(self, **inputs: Tensor) -> SequenceClassifierOutput:
        from transformers.modeling_outputs import SequenceClassifierOutput

        first = next(iter(inputs.values()))  # (N, T), or pixels
        return SequenceClassifierOutput(logits=self.logits_C.expand(*first.shape[: 1 + self.words], -1))  # pyright: ignore
