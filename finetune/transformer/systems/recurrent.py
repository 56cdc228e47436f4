"""Recurrent encoder–decoders: the whole source in one vector, or attention to all states of the encoder.

N texts, B rows about them (beams of a text), S source tokens, T target tokens, E width, L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from finetune.attention.cores import softmax
from finetune.errors import InputError
from finetune.transformer.embedding import Embedding
from finetune.transformer.scores import Score
from finetune.transformer.systems import System, Vocabulary

State = Tensor | tuple[Tensor, Tensor]  # (L, B, E) of an RNN; an LSTM has a second of its cells


@dataclass(frozen=True, kw_only=True)
class Recurrent(System):
    """One token after the other through torch's cells, in both halves.

    Both begin the decoder with one vector, the encoder's state after the last source token (Cho and others 2014,
    arXiv 1406.1078), and make a token's logits of tanh(W [context; state]) (Luong and others 2015, arXiv 1508.04025,
    equation 5). All that `attention` changes is the context: without it, that one vector again, every time; with it,
    a mean of the encoder's states at all source tokens, weighted by how they fit the decoder's own state.

    An empty source is no error: its state is that after one token of padding, and there is nothing to attend to.
    """

    kind: ClassVar[str] = "finetune-recurrent"

    width: int = 128  # E, of embeddings and states
    layers: int = 1
    cell: Literal["rnn", "lstm"] = "lstm"
    attention: Score | None = None
    dropout: float = 0.1  # of embeddings, between layers, and of what logits are made of
    tied: bool = True  # one table of tokens for source, target and logits

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "layers"):
            if getattr(self, name) < 1:
                raise InputError(f"{self.where}.{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"{self.where}.dropout must be in [0, 1), got {self.dropout}")

    def config(self, vocabulary: Vocabulary | None) -> dict[str, Any]:
        assert vocabulary is not None
        own = {"decoder_start_token_id": vocabulary.start, "is_encoder_decoder": True, "hidden_size": self.width}
        return super().config(vocabulary) | own | {"num_hidden_layers": self.layers, "tie_word_embeddings": self.tied}

    def build(self, vocabulary: Vocabulary | None) -> Reader:
        assert vocabulary is not None
        return Reader(self, vocabulary)

    def cells(self) -> nn.RNNBase:
        kind = nn.LSTM if self.cell == "lstm" else nn.RNN
        between = self.dropout if self.layers > 1 else 0.0
        return kind(self.width, self.width, self.layers, batch_first=True, dropout=between)


class Reader(nn.Module):
    """The network up to the logits' inputs. `networks` ties the tables, where they are tied."""

    def __init__(self, system: Recurrent, vocabulary: Vocabulary) -> None:
        super().__init__()
        width = system.width
        self.source, self.target = (Embedding(vocabulary.size, width, None, system.dropout) for _ in range(2))
        self.encoder, self.decoder = system.cells(), system.cells()
        self.parts = system.layers * (2 if system.cell == "lstm" else 1)
        self.bridge = nn.Linear(width, self.parts * width)
        self.attention = None if system.attention is None else SourceAttention(system.attention.build(width))
        self.together, self.dropout = nn.Linear(2 * width, width), nn.Dropout(system.dropout)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        decoder_input_ids: Tensor,
        decoder_attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Teacher forcing: (N, T, E), the decoder's states still one after the other."""
        return self.start(input_ids, attention_mask).read(decoder_input_ids)

    def start(self, input_ids: Tensor, attention_mask: Tensor | None, *, cached: bool = True) -> Saying:
        """There is always a cache: the state is one."""
        states_NSE, _ = self.encoder(self.source(input_ids))
        real_NS = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        # padding stands behind what is real, so what the cells make of it reaches nothing
        last_N = real_NS.sum(1).long().sub(1).clamp(min=0)
        last_NE = states_NSE[torch.arange(len(last_N), device=last_N.device), last_N]
        first_LNE = self.bridge(last_NE).tanh().unflatten(-1, (self.parts, -1)).transpose(0, 1).contiguous()
        state = first_LNE if isinstance(self.decoder, nn.RNN) else first_LNE.chunk(2)
        return Saying(self, states_NSE, real_NS, last_NE, state)


@dataclass
class Saying:
    """Where the decoder is, a row for each beam of each text."""

    network: Reader
    states_NSE: Tensor
    real_NS: Tensor
    last_NE: Tensor
    state: State

    def read(self, ids_BT: Tensor) -> Tensor:
        """Through the decoder: (B, T, E)."""
        network = self.network
        own_BTE, self.state = network.decoder(network.target(ids_BT), self.state)
        # the beams of a text are queries of one longer row
        asking = own_BTE.reshape(len(self.states_NSE), -1, own_BTE.shape[-1])
        if network.attention is None:
            context = self.last_NE[:, None].expand_as(asking)
        else:
            context = network.attention(asking, self.states_NSE, self.real_NS)
        return network.dropout(network.together(torch.cat([context, asking], dim=-1)).tanh()).view_as(own_BTE)

    def step(self, ids_B: Tensor) -> Tensor:
        """Say one more token each: (B, E), of which come the logits of the next."""
        return self.read(ids_B[:, None])[:, -1]

    def pick(self, rows_B: Tensor, examples_N: Tensor) -> None:
        """Go on with these rows, about these of the texts."""
        state = self.state
        if isinstance(state, Tensor):
            self.state = state.index_select(1, rows_B)
        else:
            self.state = state[0].index_select(1, rows_B), state[1].index_select(1, rows_B)
        if len(examples_N) < len(self.last_NE):
            self.states_NSE, self.real_NS, self.last_NE = (
                each[examples_N] for each in (self.states_NSE, self.real_NS, self.last_NE)
            )


class SourceAttention(nn.Module):
    """The mean of the encoder's states, weighted by the softmax of their scores; zeros where nothing is real."""

    def __init__(self, score: nn.Module) -> None:
        super().__init__()
        self.score = score
        self.watcher: Callable[[Tensor], None] | None = None  # gets the weights (N, 1, T, S) of every call

    def forward(self, q_NTE: Tensor, states_NSE: Tensor, real_NS: Tensor) -> Tensor:
        weights_NTS = softmax(self.score(q_NTE, states_NSE), real_NS[:, None].bool())
        if self.watcher is not None:
            self.watcher(weights_NTS[:, None])
        return weights_NTS @ states_NSE
