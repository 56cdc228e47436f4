"""A text to be written anew: in another language, in another spelling, or in other words; by any encoder–decoder.

N examples of a batch, S tokens of a source, T of a target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finetune import overlap, stats
from finetune.checkpoint import Weights
from finetune.encode import Batch
from finetune.errors import InputError
from finetune.evaluate import Responder
from finetune.loading import OURS, load_config, load_model, load_tokenizer, quiet
from finetune.pairs import Pairs, Reader, Writer, encoded
from finetune.stats import Estimate
from finetune.tasks import Writing
from finetune.texts import known
from finetune.transformer.tokenizers import written

if TYPE_CHECKING:
    import datasets
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Translation(Writing):
    """Trained with the target's own words before each (teacher forcing), tested on what the model writes by itself.

    Scores are exact match, words in place, BLEU and chrF. Compared are texts in Unicode's composed form (NFC).
    """

    prefix: str = ""  # before every source: what a T5 was told to do
    max_length: int | None = None  # tokens read of a source; None: as many as the model can
    max_target: int = 64  # tokens of a target with its end: longer ones are cut, and no more are written
    beams: int = 1  # of the search for the likeliest text; 1: the likeliest token each time

    def encode(self, rows: Callable[[], datasets.Dataset], weights: Weights, key: str) -> Pairs:
        config, tokenizer = load_config(weights), load_tokenizer(weights)
        if not config.is_encoder_decoder:
            raise InputError(
                f"task Translation needs an encoder–decoder, and checkpoint {weights.name} ({config.model_type}) is "
                "none; Summarisation is written by one that continues texts"
            )
        start = config.decoder_start_token_id
        source, target, told = encoded(
            self.readable(rows),
            Reader(tokenizer, self.prefix),
            Writer(tokenizer, start=start),
            self.lengths(config, tokenizer),
            key,
        )
        for each in (source, target):
            known(each, config.vocab_size, weights.name)
        return Pairs(source, target, told, start)

    def model(
        self, labels: tuple[str, ...], weights: Weights, attention: str
    ) -> tuple[PreTrainedModel, tuple[str, ...]]:
        from transformers import AutoModelForSeq2SeqLM

        if not load_config(weights).model_type.startswith(OURS):
            attention = "sdpa"  # a kernel of ours does not know what T5 adds to the scores
        model, _ = load_model(weights, AutoModelForSeq2SeqLM, attention=attention, whole=True)
        return self.trainable(model), ()

    def responder(self, weights: Weights) -> Responder:
        tokenizer = load_tokenizer(weights)

        def write(module: nn.Module, batch: Batch) -> np.ndarray:
            source = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
            with quiet():
                ids_NT = module.generate(**source, max_new_tokens=self.max_target, num_beams=self.beams)  # pyright: ignore
            return np.array(written(tokenizer, ids_NT.tolist()), dtype=object)

        return write

    def score(
        self,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: tuple[str, ...],
        groups_N: np.ndarray | None = None,
    ) -> dict[str, Estimate]:
        right_N = self.right(targets, outputs)
        return {
            "exact_match": stats.share(right_N, groups_N),
            "token_accuracy": overlap.in_place(targets.tolist(), outputs.tolist(), groups_N),
            "bleu": overlap.bleu(targets.tolist(), outputs.tolist(), groups_N),
            "chrf": overlap.chrf(targets.tolist(), outputs.tolist(), groups_N),
        }

    def right(self, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        return overlap.exact(targets.tolist(), outputs.tolist())
