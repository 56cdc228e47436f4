"""The Transformer, encoder and decoder (Vaswani and others 2017, arXiv 1706.03762).

N texts, B rows about them (beams of a text), S source tokens, T target tokens, E width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from finetune.attention.cores import Core
from finetune.attention.multihead import KeyValueCache
from finetune.errors import InputError
from finetune.transformer.attentive import Attentive
from finetune.transformer.blocks import Decoder, Encoder
from finetune.transformer.embedding import Embedding
from finetune.transformer.systems import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Transformer(Attentive):
    """From one text to another: the encoder reads all of the source at once, the decoder says a token after the other.

    An empty source is no error: cross-attention that may look at nothing adds its output's bias, and the decoder says
    what it says of nothing.
    """

    kind: ClassVar[str] = "finetune-transformer"

    tied: bool = True  # one table of tokens for source, target and logits (section 3.4)

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.core).restrict is not Core.restrict:
            raise InputError(
                f"{self.where}.core {type(self.core).__name__} looks at neighbours only, and a decoder's tokens have "
                "none in the source"
            )

    def config(self, vocabulary: Vocabulary | None) -> dict[str, Any]:
        assert vocabulary is not None
        own = {"decoder_start_token_id": vocabulary.start, "is_encoder_decoder": True}
        return super().config(vocabulary) | own | {"tie_word_embeddings": self.tied}

    def build(self, vocabulary: Vocabulary | None) -> Translator:
        assert vocabulary is not None
        return Translator(self, vocabulary)


class Translator(nn.Module):
    """The network up to the logits' inputs. `networks` ties the tables, where they are tied."""

    def __init__(self, system: Transformer, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.pad = vocabulary.pad
        self.source, self.target = (
            Embedding(vocabulary.size, system.width, system.positions, system.dropout) for _ in range(2)
        )
        self.encoder, self.decoder = Encoder(system), Decoder(system)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        decoder_input_ids: Tensor,
        decoder_attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Teacher forcing: (N, T, E) of all target tokens at once, each from those before it."""
        real_NT = decoder_input_ids != self.pad if decoder_attention_mask is None else decoder_attention_mask
        memory_NSE = self.encode(input_ids, attention_mask)
        return self.decoder(self.target(decoder_input_ids), memory_NSE, attention_mask, real_NT)

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """What the decoder looks at: (N, S, E)."""
        return self.encoder(self.source(input_ids), attention_mask)[-1]

    def start(self, input_ids: Tensor, attention_mask: Tensor | None, *, cached: bool = True) -> Saying:
        return Saying(self, self.encode(input_ids, attention_mask), attention_mask, KeyValueCache() if cached else None)


@dataclass
class Saying:
    """What has been said so far, a row for each beam of each text. Without a cache all of it is computed every time."""

    network: Translator
    memory_NSE: Tensor
    real_NS: Tensor | None
    cache: KeyValueCache | None
    said_BT: Tensor = field(default_factory=lambda: torch.empty(0))

    def step(self, ids_B: Tensor) -> Tensor:
        """Say one more token each: (B, E), of which come the logits of the next."""
        ids_BT = ids_B[:, None]
        if self.cache is None:
            self.said_BT = ids_BT = torch.cat([self.said_BT, ids_BT], dim=1) if self.said_BT.numel() else ids_BT
        embedded_BTE = self.network.target(ids_BT, 0 if self.cache is None else self.cache.get_seq_length())
        return self.network.decoder(embedded_BTE, self.memory_NSE, self.real_NS, cache=self.cache)[:, -1]

    def pick(self, rows_B: Tensor, examples_N: Tensor) -> None:
        """Go on with these rows, about these of the texts."""
        if self.cache is None:
            self.said_BT = self.said_BT[rows_B]
        else:
            self.cache.pick(rows_B, examples_N)
        if len(examples_N) < len(self.memory_NSE):
            self.memory_NSE = self.memory_NSE[examples_N]
            self.real_NS = None if self.real_NS is None else self.real_NS[examples_N]
