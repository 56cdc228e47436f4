"""Which of k classes a text, a pair of texts or an image belongs to.

N examples of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from finetune import resampling, stats
from finetune.checkpoint import Weights
from finetune.encode import Batch
from finetune.objective import Logistic, Objective
from finetune.stats import Estimate
from finetune.tasks import Reading

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Classification(Reading):
    """Single-label classification with the architecture's own head (transformers' `…ForSequenceClassification`)."""

    column: ClassVar[str] = "label"
    does: ClassVar[str] = "chooses among labels"

    max_length: int | None = None  # tokens read of a text; None: as many as the model can
    image_size: int | None = None  # side in pixels that images are resized to; None: as the checkpoint's processor does

    def objective(self, labels: tuple[str, ...]) -> Objective:
        return Logistic(len(labels))

    def model(
        self, labels: tuple[str, ...], weights: Weights, attention: str
    ) -> tuple[PreTrainedModel, tuple[str, ...]]:
        if not labels:
            raise self.unfit()
        return self.headed(labels, weights, attention)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(logits.float(), batch.targets, reduction="sum")

    def predict(self, responses: np.ndarray) -> np.ndarray:
        return responses.argmax(axis=-1)

    def probabilities(self, responses: np.ndarray) -> np.ndarray:
        shares = np.exp(responses.astype(np.float64) - responses.max(axis=-1, keepdims=True))
        return shares / shares.sum(axis=-1, keepdims=True)

    def lines(self, targets: np.ndarray, responses: np.ndarray, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        outputs, logits = self.predict(responses).tolist(), responses.round(4).tolist()
        for target, output, scores in zip(targets.tolist(), outputs, logits, strict=True):
            said = {"label": labels[target], "predicted": labels[output]}
            yield {**said, "target": target, "output": output, "logits": scores}

    def score(
        self,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: tuple[str, ...],
        groups_N: np.ndarray | None = None,
    ) -> dict[str, Estimate]:
        # `evaluate` takes seconds to import: not before it is needed
        from finetune.metrics import Accuracy, MacroF1, Matthews

        right = stats.share(targets == outputs, groups_N)
        others = {each.key: (each.formula(targets, outputs), each.of_confusion) for each in (MacroF1, Matthews)}
        return {Accuracy.key: right, **resampling.bootstrap(targets, outputs, others, groups_N)}

    def right(self, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        return targets == outputs
