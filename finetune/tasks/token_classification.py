"""A tag for each word of a text: names and what they are of, or parts of speech; by an encoder or a decoder.

N examples of a batch, T tokens of the longest among them, S words of the longest, C tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finetune import spans
from finetune.checkpoint import Weights
from finetune.encode import NOTHING, Batch, at, objects
from finetune.errors import InputError
from finetune.evaluate import Responder
from finetune.loading import load_config, load_model, load_tokenizer
from finetune.objective import Logistic, Objective
from finetune.stats import Estimate
from finetune.tagged import Words, encoded
from finetune.tasks import Headed
from finetune.texts import known, longest_text

if TYPE_CHECKING:
    import datasets
    from transformers import PretrainedConfig, PreTrainedModel

UNREAD = -1  # the output of a word that the model did not read: no tag is equal to it


@dataclass(frozen=True, kw_only=True)
class TokenClassification(Headed):
    """A word is told by its first token (Devlin and others 2019, section 5.3), with transformers' own head on that.

    Words beyond `max_length`, and words that a tokenizer makes nothing of, are not read; they count as wrong. A decoder
    has not seen the rest of a word at its first token. Where tags are B-, I- and O the headline is the F1 of spans as
    conlleval counts them, else the share of right words.
    """

    column: ClassVar[str] = "tags"
    does: ClassVar[str] = "tells tags of words"

    max_length: int | None = None  # tokens read of a sentence; None: as many as the model can

    def objective(self, labels: tuple[str, ...]) -> Objective:
        return Logistic(len(labels))

    def encode(self, rows: Callable[[], datasets.Dataset], weights: Weights, key: str) -> Words:
        config = load_config(weights)
        _check_head(config, weights)
        tokenizer = load_tokenizer(weights)
        if not tokenizer.is_fast:
            raise InputError(
                f"task TokenClassification needs a tokenizer that says where in a text its tokens are, and that of "
                f"{weights.name} is not one of the fast ones, which do"
            )
        length = longest_text(tokenizer, getattr(config, "max_position_embeddings", None), self.max_length)
        found = encoded(_divided(self.answered(rows)), tokenizer, length, key)
        known(found.source, config.vocab_size, weights.name)
        return found

    def model(
        self, labels: tuple[str, ...], weights: Weights, attention: str
    ) -> tuple[PreTrainedModel, tuple[str, ...]]:
        from transformers import AutoModelForTokenClassification

        if not labels:
            raise self.unfit()
        return load_model(weights, AutoModelForTokenClassification, attention=attention, labels=labels)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        said_NSC, unread_NS = at(logits, batch.targets).float(), batch.targets[..., 0] < 0
        wanted_NS = batch.targets[..., 1].masked_fill(unread_NS, NOTHING)
        return F.cross_entropy(said_NSC.flatten(0, 1), wanted_NS.flatten(), ignore_index=NOTHING, reduction="sum")

    def responder(self, weights: Weights) -> Responder:
        return of_words

    def predict(self, responses: np.ndarray) -> np.ndarray:
        return objects([np.where(np.isnan(each[:, 0]), UNREAD, each.argmax(axis=1)) for each in responses])

    def lines(self, targets: np.ndarray, responses: np.ndarray, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        for target, output in zip(targets, self.predict(responses), strict=True):
            yield {"target": named(target, labels), "output": named(output, labels)}

    def score(
        self,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: tuple[str, ...],
        groups_N: np.ndarray | None = None,
    ) -> dict[str, Estimate]:
        right_N = np.array([int((told == target).sum()) for target, told in zip(targets, outputs, strict=True)])
        words_N = np.array([len(target) for target in targets])
        found = {"word_accuracy": spans.accuracy(right_N, words_N, groups_N)}
        if not spans.are_tags(labels):
            return found
        tags, told = ([_tags(each, labels) for each in side] for side in (targets, outputs))
        return {"span_f1": spans.f1(tags, told, groups_N), **found}

    def right(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        return None  # a sentence has many words, and neither score is a share of right sentences


def of_words(module: nn.Module, batch: Batch) -> np.ndarray:
    """Of each example the logits of its words, (words, C) in float32; a word that was not read has no numbers (NaN)."""
    said_NSC = at(module(**batch.inputs).logits.float(), batch.targets)
    said_NSC = said_NSC.masked_fill(batch.targets[..., :1] < 0, torch.nan).cpu().numpy()
    counts_N = (batch.targets[..., 1] != NOTHING).sum(dim=1).tolist()
    return objects([said_SC[:count].copy() for said_SC, count in zip(said_NSC, counts_N, strict=True)])


def named(numbers: np.ndarray, labels: tuple[str, ...]) -> list[str | None]:
    """The tags with these numbers; None where there is none."""
    return [labels[number] if number >= 0 else None for number in numbers.tolist()]


def _tags(numbers: np.ndarray, labels: tuple[str, ...]) -> list[str]:
    return [name or spans.OUTSIDE for name in named(numbers, labels)]


def _check_head(config: PretrainedConfig, weights: Weights) -> None:
    """
    Raises:
        InputError: nobody has put a head for tags on such a model.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

    if config.is_encoder_decoder or config.model_type not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES:
        raise InputError(
            "task TokenClassification needs an encoder or a decoder of text for which transformers has a head of tags "
            f"(bert, roberta, gpt2, llama, …), and checkpoint {weights.name} ({config.model_type}) is none"
        )


def _divided(rows: Callable[[], datasets.Dataset]) -> Callable[[], datasets.Dataset]:
    """The rows, once they are asked for; texts of the moment, of which nothing is known, are divided at spaces."""

    def divided() -> datasets.Dataset:
        found = rows()
        if "words" in found.column_names:
            return found
        words = [text.split() for text in found["text"]]
        return found.remove_columns("text").add_column("words", words)  # pyright: ignore[reportCallIssue]

    return divided
