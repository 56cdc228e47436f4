"""Byte-pair encoding: the most frequent pair of tokens becomes one, again and again (Sennrich and others 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from finetune.transformer.tokenizers import SPECIAL, UNKNOWN, Tokenizer


@dataclass(frozen=True, kw_only=True)
class BytePair(Tokenizer):
    """Pairs over bytes, as GPT-2's: nothing is unknown, and a character that the texts do not hold is its bytes."""

    size: int = 8_000  # of the vocabulary

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_size(self.size, len(SPECIAL) + 256)

    def parts(self) -> tuple[tokenizers.Tokenizer, Any]:
        pipeline = tokenizers.Tokenizer(models.BPE(unk_token=UNKNOWN))
        pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        pipeline.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.size,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        return pipeline, trainer
