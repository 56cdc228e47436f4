"""What a model is asked to do. A task is a frozen value; the loop calls it and never asks which it is.

N examples of a batch, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor

from finetune.checkpoint import Weights
from finetune.encode import Batch, Examples
from finetune.parts import Part
from finetune.stats import Estimate

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedModel


class Task(Part, ABC):
    """Rows in, scores out."""

    where: ClassVar[str] = "task"

    @abstractmethod
    def encode(self, rows: Callable[[], datasets.Dataset], weights: Weights, key: str) -> Examples:
        """What the checkpoint's model reads of the rows, which are asked for only if they were never encoded before.

        `key` names the rows' content; it is empty for rows of the moment, of which nothing is kept.

        Raises:
            InputError: it cannot read such rows.
        """

    @abstractmethod
    def model(
        self, labels: tuple[str, ...], weights: Weights, attention: str
    ) -> tuple[PreTrainedModel, tuple[str, ...]]:
        """The checkpoint with a head of this task for these labels, and the names of the modules that are the head."""

    @abstractmethod
    def save_encoder(self, weights: Weights, folder: Path) -> None:
        """Put the tokenizer or image processor beside saved weights, so that the folder can be used on its own."""

    @abstractmethod
    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The summed loss of a batch, in float32; the loop divides by the units of the whole global batch."""

    @abstractmethod
    def units(self, examples: Examples) -> np.ndarray:
        """How many terms of the loss each example has."""

    @abstractmethod
    def predict(self, logits: np.ndarray) -> np.ndarray:
        """One output per example."""

    @abstractmethod
    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """How likely each label is, as the model sees it: (N, C), rows summing to one."""

    @abstractmethod
    def score(self, targets: np.ndarray, outputs: np.ndarray) -> dict[str, Estimate]:
        """Scores over examples, the headline first. Pure."""

    @abstractmethod
    def right(self, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray | None:
        """Whether each example was right, where the headline score is the share of those; else None."""
