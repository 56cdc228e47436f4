"""A whole network from scratch: part of a blank checkpoint, one alternative a file. It imports no transformers.

N examples, T tokens of a text, E width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from finetune.parts import Part


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What a network must know of the tokenizer that it goes with."""

    size: int
    pad: int
    start: int  # a decoder's first input
    end: int


class System(Part, ABC):
    """A frozen value that builds a network; `finetune.transformer.models` makes a model of transformers of it."""

    where: ClassVar[str] = "checkpoint.system"
    kind: ClassVar[str]  # what a config.json calls the architecture: `finetune-` and the name of the file
    reads: ClassVar[Literal["text", "image"]] = "text"

    def config(self, vocabulary: Vocabulary | None) -> dict[str, Any]:
        """What others read of a config, by transformers' names; `vocabulary` is None for one that reads images."""
        if vocabulary is None:
            return {}
        return {
            "vocab_size": vocabulary.size,
            "pad_token_id": vocabulary.pad,
            "bos_token_id": vocabulary.start,
            "eos_token_id": vocabulary.end,
        }

    @abstractmethod
    def build(self, vocabulary: Vocabulary | None) -> nn.Module:
        """The network, with weights that are nobody's yet: who makes a model of it draws them."""
