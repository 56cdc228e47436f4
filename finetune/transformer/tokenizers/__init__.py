"""How text becomes tokens where no checkpoint says it: an alternative is trained on the rows that are trained on.

What comes out is transformers' own kind of tokenizer, saved, loaded and called as that of any checkpoint.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tokenizers import Regex, decoders, normalizers, pre_tokenizers, processors

from finetune.errors import InputError
from finetune.parts import Part

if TYPE_CHECKING:
    import tokenizers
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, START, END = SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")  # tokens 0 to 3
SPACE = "▁"  # begins a word, where words are tokens: a text that holds it itself comes back with a space there
WORD = rf"{SPACE}?\w+|{SPACE}?[^\w\s{SPACE}]|{SPACE}|\s"  # letters and digits together, any other sign alone


class Tokenizer(Part, ABC):
    """What is a token. `<s>` and `</s>` stand around every text, so an empty one is two tokens long."""

    where: ClassVar[str] = "checkpoint.tokenizer"

    @abstractmethod
    def parts(self) -> tuple[tokenizers.Tokenizer, Any]:
        """The pipeline with nothing learned, and the trainer that learns its vocabulary, the four of SPECIAL first."""

    def train(self, texts: Iterable[str]) -> PreTrainedTokenizerFast:
        """Learn the vocabulary of the texts. What they do not hold becomes <unk>, unless the alternative says else."""
        from transformers import PreTrainedTokenizerFast  # seconds to import

        pipeline = self.learned(texts)
        ends = [(START, SPECIAL.index(START)), (END, SPECIAL.index(END))]
        pipeline.post_processor = processors.TemplateProcessing(
            single=f"{START} $A {END}", pair=f"{START} $A {END} $B {END}", special_tokens=ends
        )
        return PreTrainedTokenizerFast(
            tokenizer_object=pipeline,
            pad_token=PAD,
            unk_token=UNKNOWN,
            bos_token=START,
            eos_token=END,
            padding_side="right",
            clean_up_tokenization_spaces=False,  # it would take spaces away before punctuation
        )

    def learned(self, texts: Iterable[str]) -> tokenizers.Tokenizer:
        """The pipeline with the vocabulary of the texts."""
        pipeline, trainer = self.parts()
        pipeline.train_from_iterator(texts, trainer)
        return pipeline

    def check_size(self, size: int, least: int) -> None:
        """
        Raises:
            InputError: so small a vocabulary has no room for what must be in it.
        """
        if size < least:
            raise InputError(f"{self.where}.size must be at least {least}, got {size}")


def written(tokenizer: Any, ids: Iterable[Sequence[int]]) -> list[str]:
    """The texts that token ids stand for, without what only marks their ends, in Unicode's composed form (NFC)."""
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [unicodedata.normalize("NFC", text) for text in texts]


def cut_at_words(pipeline: tokenizers.Tokenizer) -> None:
    """Let a pipeline see words, each with the space before it, so that what it writes has the spaces it read."""
    pipeline.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    pipeline.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "isolated")
    pipeline.decoder = joined()


def joined(*before: Any) -> decoders.Decoder:
    """Tokens of `cut_at_words` put together again; what is to be done to each of them comes first."""
    spaces = decoders.Replace(SPACE, " "), decoders.Strip(" ", 1, 0)
    return decoders.Sequence([*before, decoders.Fuse(), *spaces])
