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
from finetune.data import answer
from finetune.encode import NOTHING, Batch, Examples
from finetune.errors import InputError
from finetune.evaluate import Responder, logits
from finetune.inputs import encoded, reads
from finetune.loading import load_config, load_image_processor, load_model, load_tokenizer
from finetune.objective import Objective
from finetune.parts import Part
from finetune.stats import Estimate
from finetune.texts import longest_text

if TYPE_CHECKING:
    import datasets
    from transformers import PretrainedConfig, PreTrainedModel

# a column of what is to be said → what it holds, and the tasks that say it
ANSWERS = {
    "label": "labels, among which Classification chooses",
    "value": "values, which Regression says",
    "target": "texts to be written as targets, by Translation or Summarisation",
    "tags": "tags of words, which TokenClassification tells",
}


class Task(Part, ABC):
    """Rows in, scores out."""

    where: ClassVar[str] = "task"

    def settled(self, labels: tuple[str, ...], values: tuple[float, float] | None) -> Task:
        """With what it leaves to the rows that are trained on.

        Args:
            labels: of the data; empty where it has none.
            values: mean and deviation of those of the training rows; None: they have none.

        Raises:
            InputError: it cannot learn from such rows.
        """
        return self

    def objective(self, labels: tuple[str, ...]) -> Objective | None:
        """What a linear head on features is fitted for; None: answers are texts, which no such head gives."""
        return None

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

    def units(self, examples: Examples) -> np.ndarray:
        """How many terms of the loss each example has."""
        return examples.terms

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
    def score(
        self,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: tuple[str, ...],
        groups_N: np.ndarray | None = None,
    ) -> dict[str, Estimate]:
        """Scores over examples, the headline first. Pure.

        Args:
            labels: what the numbers of targets and outputs stand for.
            groups_N: a number for each example that those share which are alike, as of one film; None: each is alone.
        """

    @abstractmethod
    def right(self, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray | None:
        """Whether each example was right, or its score from 0 to 1, where the headline is their mean; else None."""


class Headed(Task):
    """A task whose answer a head reads off vectors, as a column of the rows has it."""

    column: ClassVar[str]  # of rows, that holds what is to be said
    does: ClassVar[str]  # with it, for people
    max_length: int | None

    def answered(self, rows: Callable[[], datasets.Dataset]) -> Callable[[], datasets.Dataset]:
        """The rows, once they are asked for, if they hold such answers, or nothing is known of those."""

        def checked() -> datasets.Dataset:
            found = rows()
            held = answer(found)
            if held not in (self.column, None):  # of rows of the moment nobody knows it
                raise self.unfit(held)
            return found

        return checked

    def unfit(self, held: str | None = None) -> InputError:
        """What is said of rows that it cannot learn from.

        Args:
            held: the column that they have instead, where that is known.
        """
        told = "" if held is None else f": its rows have {ANSWERS[held]}"
        return InputError(f"task {type(self).__name__} {self.does}, and the data has none{told}")

    def save_encoder(self, weights: Weights, folder: Path) -> None:
        images = reads(load_config(weights)) == "image"
        (load_image_processor if images else load_tokenizer)(weights).save_pretrained(folder)


class Reading(Headed):
    """A task whose answer is read off one vector: of a text, of a pair of texts or of an image."""

    image_size: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_size is not None and self.image_size < 1:
            raise InputError(f"task.image_size must be at least 1 pixel, got {self.image_size}")

    def encode(self, rows: Callable[[], datasets.Dataset], weights: Weights, key: str) -> Examples:
        return encoded(self.answered(rows), weights, key, max_length=self.max_length, image_size=self.image_size)

    def headed(
        self, labels: tuple[str, ...], weights: Weights, attention: str
    ) -> tuple[PreTrainedModel, tuple[str, ...]]:
        """The checkpoint with the architecture's own head of as many outputs as there are labels."""
        from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

        images = reads(load_config(weights)) == "image"
        auto = AutoModelForImageClassification if images else AutoModelForSequenceClassification
        model, head = load_model(weights, auto, attention=attention, labels=labels)
        if not images:
            # decoder classifiers find the last token of a text by the padding after it: the tokenizer's, whatever
            # the config calls so
            model.config.pad_token_id = load_tokenizer(weights).pad_token_id
        return model, head


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
            held = {"label": "labels", "value": "values", "tags": "tags of words"}.get(answer(found) or "")
            if "text" not in found.column_names or held:
                name, held = type(self).__name__, held or "no texts"
                raise InputError(f"task {name} writes texts and needs rows with one as target; the data has {held}")
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

    def predict(self, responses: np.ndarray) -> np.ndarray:
        return responses

    def lines(self, targets: np.ndarray, responses: np.ndarray, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        for target, said in zip(targets.tolist(), responses.tolist(), strict=True):
            yield {"target": target, "output": said}
