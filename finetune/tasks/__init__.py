"""What a model is asked to do. A task is a frozen value; the loop calls it and never asks which it is.

N examples of a batch, C classes, T tokens of the longest target, V words of a vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from finetune.checkpoint import Weights
from finetune.encode import Batch, Examples
from finetune.errors import InputError
from finetune.evaluate import Responder, logits
from finetune.loading import load_tokenizer
from finetune.pairs import NOTHING
from finetune.parts import Part
from finetune.stats import Estimate
from finetune.texts import longest_text

if TYPE_CHECKING:
    import datasets
    from transformers import PretrainedConfig, PreTrainedModel


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

    def responder(self, weights: Weights) -> Responder:
        """What is kept of a model's answer to each example of a batch: its logits, unless the task knows better."""
        return logits

    @abstractmethod
    def predict(self, responses: np.ndarray) -> np.ndarray:
        """One output per example."""

    def probabilities(self, responses: np.ndarray) -> np.ndarray | None:
        """How likely each label is, as the model sees it: (N, C), rows summing to one; None: there are no labels."""
        return None

    @abstractmethod
    def lines(self, targets: np.ndarray, responses: np.ndarray, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """What is written down of each prediction, beside its id."""

    @abstractmethod
    def score(self, targets: np.ndarray, outputs: np.ndarray, labels: tuple[str, ...]) -> dict[str, Estimate]:
        """Scores over examples, the headline first; `labels` are what their numbers stand for. Pure."""

    @abstractmethod
    def right(self, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray | None:
        """Whether each example was right, where the headline score is the share of those; else None."""


class Writing(Task):
    """A task whose answer is a text, written token after token; targets, responses and outputs are texts."""

    max_length: int | None
    max_target: int
    beams: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_target < 2:
            raise InputError(f"task.max_target must be at least 2, a token and the end, got {self.max_target}")
        if self.beams < 1:
            raise InputError(f"task.beams must be at least 1, got {self.beams}")

    def readable(self, rows: Callable[[], datasets.Dataset]) -> Callable[[], datasets.Dataset]:
        """The rows, once they are asked for, if they are texts with texts as targets, or nothing is known of those."""

        def checked() -> datasets.Dataset:
            found = rows()
            if "text" not in found.column_names or "label" in found.column_names:
                held = "labels" if "label" in found.column_names else "no texts"
                raise InputError(
                    f"task {type(self).__name__} writes texts and needs rows with one as target; the data has {held}"
                )
            return found

        return checked

    def lengths(self, config: PretrainedConfig, tokenizer: Any) -> tuple[int, int]:
        """The most tokens of a source and of a target.

        Raises:
            InputError: the model has no room for so many, or no token says that a text has ended.
        """
        if tokenizer.eos_token_id is None:
            raise InputError(f"task {type(self).__name__} needs a tokenizer with an end-of-text token; this has none")
        limit = getattr(config, "max_position_embeddings", None)
        if limit is not None and self.max_target > limit:
            raise InputError(f"task.max_target must be at most the model's {limit}, got {self.max_target}")
        return longest_text(tokenizer, limit, self.max_length), self.max_target

    def trainable(self, model: PreTrainedModel) -> PreTrainedModel:
        """Without a memory of what was computed, which training has no use for; writing turns it on by itself."""
        if hasattr(model.config, "use_cache"):
            model.config.use_cache = False
        return model

    def save_encoder(self, weights: Weights, folder: Path) -> None:
        load_tokenizer(weights).save_pretrained(folder)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        scores, wanted = logits.float().flatten(0, 1), batch.targets.flatten()
        return F.cross_entropy(scores, wanted, ignore_index=NOTHING, reduction="sum")

    def units(self, examples: Examples) -> np.ndarray:
        return examples.terms

    def predict(self, responses: np.ndarray) -> np.ndarray:
        return responses

    def lines(self, targets: np.ndarray, responses: np.ndarray, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        for target, said in zip(targets.tolist(), responses.tolist(), strict=True):
            yield {"target": target, "output": said}
