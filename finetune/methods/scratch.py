"""From scratch: every weight is drawn anew, and then moves."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from finetune.methods.full import Full
from finetune.optim import AdamW

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Scratch(Full):
    """Full training from weights that are drawn by the recipe's seed, as the model's own config draws them.

    For a blank checkpoint that is how it is trained: seeds differ in their first weights, too. For a pretrained one it
    tells what pretraining is worth.
    """

    optim: AdamW = AdamW(learning_rate=1e-3)

    def prepare(self, model: PreTrainedModel, head: tuple[str, ...]) -> nn.Module:
        # by another of its kind, for transformers draws no weight anew that was loaded. An attention that was swapped
        # in has the names of the one it took the place of; what it learns by itself has begun as it does
        fresh = type(model)(copy.deepcopy(model.config))
        unknown = model.load_state_dict(fresh.state_dict(), strict=False).unexpected_keys
        assert not unknown, f"{unknown[0]} was drawn for nothing"
        return super().prepare(model, head)
