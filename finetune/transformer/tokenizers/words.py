"""Every word a token: short sequences, and nothing to say of a word that was never seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import models, trainers

from finetune.transformer.tokenizers import SPECIAL, UNKNOWN, Tokenizer, cut_at_words


@dataclass(frozen=True, kw_only=True)
class Words(Tokenizer):
    """A token for every word and every punctuation mark; one that is not among the most frequent `size` is <unk>."""

    size: int = 30_000  # of the vocabulary

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_size(self.size, len(SPECIAL) + 1)

    def parts(self) -> tuple[tokenizers.Tokenizer, Any]:
        pipeline = tokenizers.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        cut_at_words(pipeline)
        trainer = trainers.WordLevelTrainer(vocab_size=self.size, special_tokens=list(SPECIAL), show_progress=False)
        return pipeline, trainer
