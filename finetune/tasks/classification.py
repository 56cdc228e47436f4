"""Which of k classes a text, a pair of texts or an image belongs to.

N examples of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from finetune import stats
from finetune.anatomy import of_architecture
from finetune.checkpoint import Weights
from finetune.encode import Batch, Examples, Images, side
from finetune.errors import InputError
from finetune.hashing import content_key
from finetune.loading import load_config, load_image_processor, load_model, load_tokenizer
from finetune.stats import Estimate
from finetune.tasks import Task
from finetune.texts import Texts, known, longest_text, texts

if TYPE_CHECKING:
    import datasets
    from transformers import PretrainedConfig, PreTrainedModel


UNFIT = "task Classification chooses among labels, and the data has none: its rows have texts to be written as targets"


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Single-label classification with the architecture's own head (transformers' `…ForSequenceClassification`)."""

    max_length: int | None = None  # tokens read of a text; None: as many as the model can
    image_size: int | None = None  # side in pixels that images are resized to; None: as the checkpoint's processor does

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_size is not None and self.image_size < 1:
            raise InputError(f"task.image_size must be at least 1 pixel, got {self.image_size}")

    def encode(self, rows: Callable[[], datasets.Dataset], weights: Weights, key: str) -> Examples:
        config = load_config(weights)
        reads = _reads(config)

        def readable() -> datasets.Dataset:
            found = rows()
            if "target" in found.column_names:
                raise InputError(f"{UNFIT}; Translation and Summarisation write texts")
            if "words" in found.column_names:
                raise InputError(
                    "task Classification chooses a label for a whole text, and the data has words with a tag each; "
                    "TokenClassification tells those"
                )
            held = "image" if "image" in found.column_names else "text"
            if held != reads:
                raise InputError(
                    f"checkpoint {weights.name} ({config.model_type}) reads {reads}s, the data holds {held}s"
                )
            return found

        for field, of in (("max_length", "text"), ("image_size", "image")):
            if of != reads and getattr(self, field) is not None:
                raise InputError(
                    f"task.{field} is of {of}s and has no meaning for checkpoint {weights.name}, which reads {reads}s; "
                    f"leave it none, got {getattr(self, field)}"
                )
        return (
            self._images(readable(), config, weights, key)
            if reads == "image"
            else self._texts(readable, config, weights, key)
        )

    def _images(self, rows: datasets.Dataset, config: PretrainedConfig, weights: Weights, key: str) -> Images:
        processor = load_image_processor(weights)
        pixels, patch = side(processor, self.image_size), config.patch_size
        if pixels != config.image_size and not of_architecture(config.model_type).any_size:
            raise InputError(f"task.image_size must be {config.image_size} for this {config.model_type}, got {pixels}")
        if pixels % patch:
            near = [size for size in (pixels // patch * patch, pixels // patch * patch + patch) if size]
            raise InputError(
                f"task.image_size must be a multiple of the {patch} pixels of a patch of this {config.model_type}, "
                f"got {pixels}; the nearest {'are' if len(near) > 1 else 'is'} {' and '.join(map(str, near))}"
            )
        key = content_key(key, processor.to_json_string(), self.image_size)
        return Images(rows, processor, self.image_size, (pixels // patch) ** 2 + 1, key)

    def _texts(
        self, rows: Callable[[], datasets.Dataset], config: PretrainedConfig, weights: Weights, key: str
    ) -> Texts:
        tokenizer = load_tokenizer(weights)
        length = longest_text(tokenizer, getattr(config, "max_position_embeddings", None), self.max_length)
        return known(texts(rows, tokenizer, length, key), config.vocab_size, weights.name)

    def model(
        self, labels: tuple[str, ...], weights: Weights, attention: str
    ) -> tuple[PreTrainedModel, tuple[str, ...]]:
        from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

        if not labels:
            raise InputError(UNFIT)
        images = _reads(load_config(weights)) == "image"
        auto = AutoModelForImageClassification if images else AutoModelForSequenceClassification
        model, head = load_model(weights, auto, attention=attention, labels=labels)
        if not images:
            # decoder classifiers find the last token of a text by the padding after it: the tokenizer's, whatever
            # the config calls so
            model.config.pad_token_id = load_tokenizer(weights).pad_token_id
        return model, head

    def save_encoder(self, weights: Weights, folder: Path) -> None:
        images = _reads(load_config(weights)) == "image"
        (load_image_processor if images else load_tokenizer)(weights).save_pretrained(folder)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(logits.float(), batch.targets, reduction="sum")

    def units(self, examples: Examples) -> np.ndarray:
        return np.ones(len(examples), dtype=np.int64)

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

    def score(self, targets: np.ndarray, outputs: np.ndarray, labels: tuple[str, ...]) -> dict[str, Estimate]:
        from finetune.metrics import Accuracy, MacroF1  # `evaluate` takes seconds to import: not before it is needed

        macro_f1 = MacroF1.formula(targets, outputs)
        return {
            Accuracy.key: stats.proportion(int((targets == outputs).sum()), len(targets)),
            MacroF1.key: stats.bootstrap(macro_f1, targets, outputs, MacroF1.of_confusion),
        }

    def right(self, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        return targets == outputs


def _reads(config: PretrainedConfig) -> Literal["text", "image"]:
    """What a checkpoint takes in; of an architecture without an entry nothing is known, and that is an error."""
    return of_architecture(config.model_type).reads
