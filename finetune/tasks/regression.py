"""Which number belongs to a text, a pair of texts or an image: a grade, a price, a likeness.

N examples of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from finetune import correlation, stats
from finetune.checkpoint import Weights
from finetune.encode import Batch
from finetune.errors import InputError
from finetune.objective import LeastSquares
from finetune.stats import Estimate
from finetune.tasks import Reading

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VALUE = "value"  # what the one output is called in the model's config


@dataclass(frozen=True, kw_only=True)
class Regression(Reading):
    """Least squares by the architecture's own head with one output (transformers' problem type `regression`).

    What the head learns to say is no value but how many deviations it is from the mean, both of the values that are
    trained on: so it reaches values of any size at the same learning rate, and the same rows in another unit come to
    the same model. The two numbers are in the run's record (`values` of `result.json`), and where a whole model is
    saved in its `config.json` (`standardised`). Outputs, scores, `finetune predict` and `finetune.load(…)` give values
    in the data's unit; who loads `model/` by transformers alone gets logits: the value is mean + deviation · logit.

    Scores are Pearson's and Spearman's correlation, as GLUE has them of STS-B, and the mean absolute error in the
    data's unit. Of equal values, or equal outputs, there is no correlation; it counts as 0.
    """

    column: ClassVar[str] = "value"
    does: ClassVar[str] = "says values"

    max_length: int | None = None  # tokens read of a text; None: as many as the model can
    image_size: int | None = None  # side in pixels that images are resized to; None: as the checkpoint's processor does
    mean: float | None = None  # of values, in their unit; None: as the training rows have it; so is the next
    deviation: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mean is not None and not math.isfinite(self.mean):
            raise InputError(f"task.mean must be finite or none, got {self.mean}")
        if self.deviation is not None and not 0 < self.deviation < math.inf:
            raise InputError(f"task.deviation must be above 0 and finite, or none, got {self.deviation}")

    def settled(self, labels: tuple[str, ...], values: tuple[float, float] | None) -> Regression:
        if values is None:
            raise self.unfit()
        mean, deviation = values
        if self.deviation is None and not deviation:
            raise InputError(f"all training rows have the value {mean:g}: where nothing differs, nothing is learned")
        return replace(
            self,
            mean=mean if self.mean is None else self.mean,
            deviation=deviation if self.deviation is None else self.deviation,
        )

    def objective(self, labels: tuple[str, ...]) -> LeastSquares:
        assert self.mean is not None
        assert self.deviation is not None
        return LeastSquares(self.mean, self.deviation)

    def model(
        self, labels: tuple[str, ...], weights: Weights, attention: str
    ) -> tuple[PreTrainedModel, tuple[str, ...]]:
        model, head = self.headed((VALUE,), weights, attention)
        model.config.problem_type = "regression"
        model.config.standardised = {"mean": self.mean, "deviation": self.deviation}
        return model, head

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return F.mse_loss(logits.float(), self.objective(()).wanted(batch.targets), reduction="sum")

    def predict(self, responses: np.ndarray) -> np.ndarray:
        return self.objective(()).values(responses)

    def lines(self, targets: np.ndarray, responses: np.ndarray, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        outputs, logits = self.predict(responses).tolist(), responses.round(4).tolist()
        for target, output, said in zip(targets.tolist(), outputs, logits, strict=True):
            yield {"target": target, "output": output, "logits": said}

    def score(
        self,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: tuple[str, ...],
        groups_N: np.ndarray | None = None,
    ) -> dict[str, Estimate]:
        return {
            "pearson": correlation.pearson(targets, outputs, groups_N),
            "spearman": correlation.spearman(targets, outputs, groups_N),
            "mae": stats.mean(np.abs(targets - outputs), groups_N),
        }

    def right(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        return None  # a value is nearer or farther, and hardly ever equal
