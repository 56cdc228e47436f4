"""A text in few words, by a decoder: it reads the text and something that asks for a summary, and goes on.

N examples of a batch, S tokens of what is read, T of a target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune import overlap, stats
from finetune.anatomy import of_architecture
from finetune.checkpoint import Weights
from finetune.encode import Batch
from finetune.errors import InputError
from finetune.evaluate import Responder
from finetune.loading import load_config, load_model, load_tokenizer, quiet
from finetune.pairs import Continued, Reader, Writer, encoded, prompt
from finetune.stats import Estimate
from finetune.tasks import Writing
from finetune.texts import known
from finetune.transformer.tokenizers import written

if TYPE_CHECKING:
    import datasets
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

NAMES = {"rouge1": "rouge_1", "rouge2": "rouge_2", "rougeL": "rouge_l"}


@dataclass(frozen=True, kw_only=True)
class Summarisation(Writing):
    """Text, separator and summary are one sequence, of which the loss counts the summary's tokens alone.

    "TL;DR:" asks a model that was never trained for it (Radford and others 2019). Scores are ROUGE-1, -2 and -L.
    """

    separator: str = "\nTL;DR:"  # between the text and its summary
    max_length: int | None = None  # tokens read of a text; None: as many as leave room for the rest
    max_target: int = 48  # tokens of a summary with its end: longer ones are cut, and no more are written
    beams: int = 1  # of the search for the likeliest summary; 1: the likeliest token each time

    def encode(self, rows: Callable[[], datasets.Dataset], weights: Weights, key: str) -> Continued:
        config, tokenizer = load_config(weights), load_tokenizer(weights)
        if not of_architecture(config.model_type).causal:
            raise InputError(
                f"task Summarisation needs a decoder that continues texts, and checkpoint {weights.name} "
                f"({config.model_type}) is none; an encoder–decoder is trained by Translation"
            )
        between = self._between(tokenizer)
        source, target, told = encoded(
            self.readable(rows),
            Reader(tokenizer),
            Writer(tokenizer, before=" "),
            self.lengths(config, tokenizer),
            key,
        )
        for each in (source, target):
            known(each, config.vocab_size, weights.name)
        return Continued(source, target, told, between)

    def lengths(self, config: PretrainedConfig, tokenizer: Any) -> tuple[int, int]:
        source, target = super().lengths(config, tokenizer)
        limit = getattr(config, "max_position_embeddings", None)
        if limit is None:
            return source, target
        room = limit - target - len(self._between(tokenizer))
        if (self.max_length is not None and self.max_length > room) or room < 2:
            raise InputError(
                f"task.max_length and task.max_target must leave room: of the model's {limit} tokens {room} are left "
                f"for a text, got {self.max_length}"
            )
        return min(source, room), target

    def _between(self, tokenizer: Any) -> list[int]:
        return tokenizer(self.separator, add_special_tokens=False)["input_ids"]

    def model(
        self, labels: tuple[str, ...], weights: Weights, attention: str
    ) -> tuple[PreTrainedModel, tuple[str, ...]]:
        from transformers import AutoModelForCausalLM

        model, _ = load_model(weights, AutoModelForCausalLM, attention=attention, whole=True)
        return self.trainable(model), ()

    def responder(self, weights: Weights) -> Responder:
        tokenizer = load_tokenizer(weights)
        how = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "do_sample": False}

        def write(module: nn.Module, batch: Batch) -> np.ndarray:
            given = prompt(batch)
            with quiet():
                ids = module.generate(**given, **how, max_new_tokens=self.max_target, num_beams=self.beams)  # pyright: ignore
            said = written(tokenizer, ids[:, given["input_ids"].shape[1] :].tolist())
            return np.array([text.strip() for text in said], dtype=object)

        return write

    def score(
        self,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: tuple[str, ...],
        groups_N: np.ndarray | None = None,
    ) -> dict[str, Estimate]:
        found = overlap.rouge(targets.tolist(), outputs.tolist())
        return {NAMES[name]: stats.mean(each_N, groups_N) for name, each_N in found.items()}

    def right(self, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """ROUGE-1 of each: a summary is nearer to its reference or farther, and hardly ever equal."""
        return overlap.rouge(targets.tolist(), outputs.tolist(), ("rouge1",))["rouge1"]
