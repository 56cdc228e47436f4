"""An encoder that classifies texts: the Transformer's first half, and one vector for the whole text.

N texts, T tokens, E width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from finetune.transformer.attentive import Attentive
from finetune.transformer.blocks import Encoder
from finetune.transformer.embedding import Embedding
from finetune.transformer.systems import Vocabulary


@dataclass(frozen=True, kw_only=True)
class TextEncoder(Attentive):
    """A classifier as BERT is one (Devlin and others 2019, arXiv 1810.04805), without its pretraining.

    `cls` takes what has become of the first token, which attention must bring everything to; `mean` the mean of all
    real tokens. With one label what comes out is a number: regression.
    """

    kind: ClassVar[str] = "finetune-encoder"

    pooling: Literal["cls", "mean"] = "mean"

    def build(self, vocabulary: Vocabulary | None) -> TextReader:
        assert vocabulary is not None
        return TextReader(self, vocabulary)


class TextReader(nn.Module):
    def __init__(self, system: TextEncoder, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.source = Embedding(vocabulary.size, system.width, system.positions, system.dropout)
        self.encoder, self.pooling = Encoder(system), system.pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, ...]:
        """(N, T, E) of what the embeddings say, and of each block."""
        return self.encoder(self.source(input_ids), attention_mask)

    def pool(self, hidden_NTE: Tensor, attention_mask: Tensor | None) -> Tensor:
        """One vector for each text (N, E); of one without any real token, zeros or what its padding has become."""
        if self.pooling == "cls":
            return hidden_NTE[:, 0]
        if attention_mask is None:
            return hidden_NTE.mean(1)
        real_NT1 = attention_mask[..., None].to(hidden_NTE.dtype)
        return (hidden_NTE * real_NT1).sum(1) / real_NT1.sum(1).clamp(min=1)
