"""WordPiece: a frequent word is one token, a rare one several, the longest known piece first (Schuster 2012)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, trainers

from finetune.transformer.tokenizers import SPECIAL, UNKNOWN, Tokenizer, cut_at_words, joined

GOES_ON = "##"  # begins a piece that is not the first of its word


@dataclass(frozen=True, kw_only=True)
class WordPiece(Tokenizer):
    """Pieces as BERT's, with the spaces and the case of the text kept.

    A word with a character that the texts do not hold is <unk> as a whole, and so is one of more than 100 characters.
    """

    size: int = 8_000  # of the vocabulary

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_size(self.size, len(SPECIAL) + 1)

    def parts(self) -> tuple[tokenizers.Tokenizer, Any]:
        pipeline = tokenizers.Tokenizer(models.WordPiece(unk_token=UNKNOWN, continuing_subword_prefix=GOES_ON))
        cut_at_words(pipeline)
        pipeline.decoder = joined(decoders.Replace(Regex(f"^{GOES_ON}(?=.)"), ""))
        return pipeline, self._trainer(())

    def _trainer(self, pieces: Iterable[str]) -> Any:
        return trainers.WordPieceTrainer(
            vocab_size=self.size,
            special_tokens=[*SPECIAL, *pieces],
            continuing_subword_prefix=GOES_ON,
            show_progress=False,
        )

    def learned(self, texts: Iterable[str]) -> tokenizers.Tokenizer:
        """As of the others, with pieces of one letter numbered beforehand.

        Left alone the trainer numbers them as it meets them, which is another order every time; and of two pairs that
        are as frequent it takes the one with the lower numbers.
        """
        texts = list(texts)
        learning, _ = self.parts()
        learning.train_from_iterator(texts, self._trainer(sorted(_later(learning, texts))))
        vocabulary = learning.get_vocab(with_added_tokens=False)
        pipeline, _ = self.parts()  # to which those pieces are no special tokens
        pipeline.model = models.WordPiece(vocabulary, unk_token=UNKNOWN, continuing_subword_prefix=GOES_ON)
        return pipeline


def _later(pipeline: tokenizers.Tokenizer, texts: Iterable[str]) -> set[str]:
    """Pieces of one letter that is not the first of its word."""
    found = set[str]()
    for text in texts:
        words = pipeline.pre_tokenizer.pre_tokenize_str(pipeline.normalizer.normalize_str(text))
        found.update(*(word[1:] for word, _ in words))
    return {GOES_ON + letter for letter in found}
