"""Norms before or after: what reaches the first of many blocks, and the last, before anything is learned.

N texts, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from finetune.points import Point, Quantity
from finetune.studies import Study
from finetune.transformer.systems import Vocabulary
from finetune.transformer.systems.encoder import TextEncoder

FIRST, LAST, RATIO = "first block's gradient", "last block's gradient", "first / last"
ORDERS: tuple[Literal["pre", "post"], ...] = ("pre", "post")
VOCABULARY = Vocabulary(size=100, pad=0, start=1, end=2)


@dataclass(frozen=True, kw_only=True)
class Depth(Study):
    """With norms after blocks the last one's gradient stays large however many there are; before, it falls with them.

    Xiong and others 2020 (arXiv 2002.04745, theorem 1), who tell from it why the original order needs a warm-up.
    """

    title: ClassVar[str] = "Norms before or after, by depth"
    lines: ClassVar[str] = "order"
    along: ClassVar[str] = "blocks"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity(name=FIRST, steep=True),
        Quantity(name=LAST, steep=True),
        Quantity(name=RATIO, steep=True, drawn=False),
    )
    notes: ClassVar[tuple[str, ...]] = (
        "norm of the gradient of all weights of a block, for the mean loss of random texts with random labels; encoder "
        "classifiers with weights as they are drawn",
    )

    depths: tuple[int, ...] = (2, 4, 8, 12, 24)
    width: int = 64
    texts: int = 32
    length: int = 16  # tokens
    classes: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least(1, "depths", "texts", "length")
        self.check_at_least(2, "classes")

    def measure(self, seed: int) -> Iterable[Point]:
        ids_NT = torch.randint(3, VOCABULARY.size, (self.texts, self.length))
        labels_N = torch.randint(self.classes, (self.texts,))
        for order in ORDERS:
            for depth in self.depths:
                blocks = self._blocks(depth, order, ids_NT, labels_N)
                first, last = _gradient(blocks[0]), _gradient(blocks[-1])
                yield Point(line=order, at=depth, values={FIRST: first, LAST: last, RATIO: first / last})

    def _blocks(self, depth: int, order: Literal["pre", "post"], ids_NT: Tensor, labels_N: Tensor) -> nn.ModuleList:
        """Those of a drawn classifier, with the gradient of its loss."""
        from finetune.transformer.models import OwnEncoderConfig, OwnEncoderForSequenceClassification  # seconds
        from finetune.written import to_json

        system = TextEncoder(width=self.width, layers=depth, inner=4 * self.width, order=order)
        config = OwnEncoderConfig(system=to_json(system), **system.config(VOCABULARY))
        config.num_labels = self.classes
        network = OwnEncoderForSequenceClassification(config).eval()
        loss = network(ids_NT, labels=labels_N).loss
        assert loss is not None
        loss.backward()
        blocks = network.get_submodule("model.net.encoder.blocks")
        assert isinstance(blocks, nn.ModuleList)
        return blocks


def _gradient(block: nn.Module) -> float:
    """The norm over all its weights."""
    found = [weights.grad.flatten() for weights in block.parameters() if weights.grad is not None]
    return float(torch.linalg.vector_norm(torch.cat(found)))
