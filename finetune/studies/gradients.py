"""Vanishing gradients: what the loss at the last step tells the input so many tokens before it.

N texts, S source tokens, E width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finetune.points import Point, Quantity
from finetune.studies import Study
from finetune.transformer.scores.dot import Dot
from finetune.transformer.systems import System, Vocabulary
from finetune.transformer.systems.recurrent import Recurrent
from finetune.transformer.systems.transformer import Transformer

GRADIENT, SHARE = "gradient", "gradient / that at distance 1"
VOCABULARY = Vocabulary(size=100, pad=0, start=1, end=2)
FIRST = 3  # token that means something
REMEMBERS = "lstm that remembers"


@dataclass(frozen=True, kw_only=True)
class Gradients(Study):
    """∂loss/∂input by distance, of networks that have learned nothing yet (Bengio and others 1994).

    On its way back through an RNN's cells a gradient is multiplied by a matrix for each token. An LSTM (Hochreiter and
    Schmidhuber 1997) multiplies by its forget gates instead, which are about ½ when nothing is learned; whoever opens
    them first (Gers and others 2000) has one that remembers. Attention has no way at all to go.
    """

    title: ClassVar[str] = "Vanishing gradients"
    lines: ClassVar[str] = "system"
    along: ClassVar[str] = "tokens before the last"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity(name=GRADIENT, steep=True, drawn=False),
        Quantity(name=SHARE, steep=True),
    )
    notes: ClassVar[tuple[str, ...]] = (
        "norm of the gradient of a decoder's first loss with respect to the embedding of a source token, the mean over "
        "texts; the last source token is at distance 1; encoder–decoders of one width, with weights as they are drawn",
        f"{REMEMBERS}: its encoder's forget gates start at sigmoid(study.forget) of what they hold, not at a half",
    )

    length: int = 128  # source tokens
    texts: int = 16
    width: int = 64
    layers: int = 1  # in each half
    forget: float = 4.0  # bias of the forget gates of the LSTM that remembers

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(1, "length", "texts", "layers")

    @property
    def systems(self) -> dict[str, System]:
        lstm = Recurrent(width=self.width, layers=self.layers)
        return {
            "rnn": Recurrent(width=self.width, layers=self.layers, cell="rnn"),
            "lstm": lstm,
            REMEMBERS: lstm,
            "lstm, attention": Recurrent(width=self.width, layers=self.layers, attention=Dot()),
            "transformer": Transformer(width=self.width, layers=self.layers, inner=4 * self.width),
        }

    def measure(self, seed: int) -> Iterable[Point]:
        ids_NS = torch.randint(FIRST, VOCABULARY.size, (self.texts, self.length))
        said_N = torch.randint(FIRST, VOCABULARY.size, (self.texts,))
        for name, system in self.systems.items():
            network = drawn(system)
            if name == REMEMBERS:
                open_gates(network.get_submodule("model.net.encoder"), self.forget)
            norms_S = by_distance(network, ids_NS, said_N)
            for distance in (2**power for power in range(self.length.bit_length())):
                found = float(norms_S[distance - 1])
                values = {GRADIENT: found, SHARE: found / float(norms_S[0])}
                yield Point(line=name, at=distance, values=values)


def drawn(system: System) -> nn.Module:
    """In float64: of what is left of a gradient float32 has nothing."""
    from finetune.transformer import models  # seconds to import

    return models.model(system, VOCABULARY).double().eval()


def open_gates(cells: nn.Module, bias: float) -> None:
    """Let an LSTM forget little; torch keeps the biases of its gates as input, forget, cell, output, and each twice."""
    for name, values in cells.named_parameters():
        if name.startswith("bias_ih"):
            values.data.chunk(4)[1].fill_(bias)


def by_distance(network: nn.Module, ids_NS: Tensor, said_N: Tensor) -> Tensor:
    """The norm of ∂loss/∂embedding at each distance from the end of the source (S), from 1."""
    embedded: list[Tensor] = []
    source = network.get_submodule("model.net.source")
    handle = source.register_forward_hook(lambda *called: embedded.append(called[-1]))
    start_N1 = torch.full((len(ids_NS), 1), VOCABULARY.start)
    logits_NV = network(ids_NS, decoder_input_ids=start_N1).logits[:, -1]
    handle.remove()
    loss = F.cross_entropy(logits_NV, said_N, reduction="sum")  # no text has a say in another's gradient
    (of_input_NSE,) = torch.autograd.grad(loss, embedded)
    return torch.linalg.vector_norm(of_input_NSE, dim=-1).mean(0).flip(0)
