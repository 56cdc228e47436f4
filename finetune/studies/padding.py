"""Why batch norm fails on padded texts: a text's own output moves with padding and with who else is in the batch.

N texts, T tokens, E width.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.linalg import vector_norm

from finetune.points import Point, Quantity
from finetune.studies import Study
from finetune.transformer.norms import Norm
from finetune.transformer.norms.batch import BatchNorm
from finetune.transformer.norms.layer import LayerNorm
from finetune.transformer.systems import Vocabulary
from finetune.transformer.systems.encoder import TextEncoder

MOVED = "output moved, %"
PADDING, NEIGHBOURS = "padding", "neighbours"
NORMS: dict[str, Norm] = {
    "layer": LayerNorm(),
    "batch": BatchNorm(masked=False),
    "batch, masked": BatchNorm(masked=True),
}
VOCABULARY = Vocabulary(size=100, pad=0, start=1, end=2)
FIRST = 3  # token that means something


@dataclass(frozen=True, kw_only=True)
class Padding(Study):
    """The same texts through the same encoder, in another company (Shen and others 2020, arXiv 2003.07845)."""

    title: ClassVar[str] = "Why batch norm fails on padded texts"
    panels: ClassVar[str] = "changed"
    lines: ClassVar[str] = "norm"
    along: ClassVar[str] = "how many"
    quantities: ClassVar[tuple[Quantity, ...]] = (Quantity(name=MOVED, least=0),)
    notes: ClassVar[tuple[str, ...]] = (
        "length of what a text's vector moves by, as a share of its own, the mean over the texts that stay: padding, "
        "so many more tokens of it behind every text; neighbours, so many other texts of the batch replaced",
        "encoders as they are drawn, in training mode without dropout: attention and pooling leave padding out, so all "
        "that can move a text is its norms; masked: the batch's statistics are of what is real",
    )

    texts: int = 16  # in the batch
    shortest: int = 4  # tokens
    longest: int = 16
    width: int = 64
    layers: int = 2
    padding: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)  # tokens added
    neighbours: tuple[int, ...] = (1, 2, 4, 8)  # replaced

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(1, "shortest", "layers", "padding", "neighbours")
        self.check_at_least(max(self.neighbours) + 1, "texts")
        self.check_at_least(self.shortest, "longest")

    def measure(self, seed: int) -> Iterable[Point]:
        ids_NT, others_NT = self._texts(), self._texts()
        networks = {name: self._network(norm, seed) for name, norm in NORMS.items()}
        for name, network in networks.items():
            before_NE = vectors(network, ids_NT)
            for more in self.padding:
                moved = _moved(before_NE, vectors(network, F.pad(ids_NT, (0, more), value=VOCABULARY.pad)))
                yield Point(panel=PADDING, line=name, at=more, values={MOVED: moved})
        for name, network in networks.items():
            before_NE = vectors(network, ids_NT)
            for count in self.neighbours:
                stay = self.texts - count
                after_NE = vectors(network, torch.cat([ids_NT[:stay], others_NT[stay:]]))
                yield Point(
                    panel=NEIGHBOURS, line=name, at=count, values={MOVED: _moved(before_NE[:stay], after_NE[:stay])}
                )

    def _texts(self) -> Tensor:
        """Random texts of several lengths, padded to the longest that one may have."""
        ids_NT = torch.randint(FIRST, VOCABULARY.size, (self.texts, self.longest))
        lengths_N = torch.randint(self.shortest, self.longest + 1, (self.texts,))
        return ids_NT.where(torch.arange(self.longest) < lengths_N[:, None], VOCABULARY.pad)

    def _network(self, norm: Norm, seed: int) -> nn.Module:
        """The weights are the same for each norm."""
        from finetune.transformer import models  # seconds to import

        torch.manual_seed(seed)
        system = TextEncoder(width=self.width, layers=self.layers, inner=4 * self.width, dropout=0.0, norm=norm)
        return models.model(system, VOCABULARY).get_submodule("net").train()


@torch.no_grad()
def vectors(network: nn.Module, ids_NT: Tensor) -> Tensor:
    """What the network makes of each text: (N, E)."""
    real_NT = ids_NT != VOCABULARY.pad
    return network.pool(network(ids_NT, real_NT)[-1], real_NT)  # pyright: ignore[reportCallIssue]


def _moved(before_NE: Tensor, after_NE: Tensor) -> float:
    shares_N = vector_norm(after_NE - before_NE, dim=-1) / vector_norm(before_NE, dim=-1)
    return round(100 * float(shares_N.mean()), 3)  # what float32 itself rounds is a hundredth of that
