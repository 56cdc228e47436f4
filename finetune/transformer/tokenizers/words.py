"""Words between spaces: one that training has not seen is unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finetune.errors import InputError
from finetune.transformer.tokenizers import END, PAD, START, UNKNOWN, Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, kw_only=True)
class Words(Tokenizer):
    """The most frequent words of the texts; <s> stands before a text and </s> after it."""

    size: int = 10_000  # tokens at most, the four with a meaning of their own included

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 5:
            raise InputError(f"{self.where}.size must be at least 5, of which 4 are no words, got {self.size}")

    def train(self, texts: Iterable[str]) -> PreTrainedTokenizerFast:
        import tokenizers
        from tokenizers import models, pre_tokenizers, processors, trainers
        from transformers import PreTrainedTokenizerFast

        special = [PAD, UNKNOWN, START, END]
        made = tokenizers.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
        made.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=self.size, special_tokens=special))
        made.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
            single=f"{START} $A {END}", pair=f"{START} $A {END} $B {END}", special_tokens=[(START, 2), (END, 3)]
        )
        return PreTrainedTokenizerFast(
            tokenizer_object=made,
            pad_token=PAD,
            unk_token=UNKNOWN,
            bos_token=START,
            eos_token=END,
            padding_side="right",
        )
