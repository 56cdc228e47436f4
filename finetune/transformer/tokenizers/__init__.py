"""How texts become token ids: a part of a blank checkpoint, trained on its texts, one alternative a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from finetune.parts import Part

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"  # the first four ids of each


class Tokenizer(Part, ABC):
    """A frozen value; what it has learned of texts is in the tokenizer that it trains."""

    where: ClassVar[str] = "checkpoint.tokenizer"

    @abstractmethod
    def train(self, texts: Iterable[str]) -> PreTrainedTokenizerFast:
        """A tokenizer with <pad> = 0, <unk> = 1, <s> = 2, </s> = 3 that pads on the right."""
