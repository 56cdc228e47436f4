"""Every character a token: a small vocabulary and long sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from finetune.transformer.tokenizers import SPECIAL, UNKNOWN, Tokenizer

ROOM = 2**17  # more than there are characters: every one of the texts is kept
ANY = r"[\s\S]"


@dataclass(frozen=True, kw_only=True)
class Characters(Tokenizer):
    """A token for every character of the texts, spaces among them; one that they do not hold is <unk>."""

    def parts(self) -> tuple[tokenizers.Tokenizer, Any]:
        pipeline = tokenizers.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        pipeline.pre_tokenizer = pre_tokenizers.Split(Regex(ANY), "isolated")
        pipeline.decoder = decoders.Fuse()
        trainer = trainers.WordLevelTrainer(vocab_size=ROOM, special_tokens=list(SPECIAL), show_progress=False)
        return pipeline, trainer
