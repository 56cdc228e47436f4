"""The blocks of the Transformer (Vaswani and others 2017, arXiv 1706.03762, section 3.1), and stacks of them.

B batch, T tokens, S tokens of a memory, N texts that B rows are about (beams of a text share it), E width.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from finetune.attention.cores import Core
from finetune.attention.masks import EVERYTHING, Causal, Mask, Padding
from finetune.attention.multihead import KeyValueCache, MultiHeadAttention
from finetune.transformer.attentive import Attentive
from finetune.transformer.feed_forward import FeedForward


class Around(nn.Module):
    """What stands around each part of a block: residual path, dropout, and the norm before or after."""

    def __init__(self, system: Attentive) -> None:
        super().__init__()
        self.norm, self.dropout = system.norm.build(system.width), nn.Dropout(system.dropout)
        self.first = system.order == "pre"

    def forward(self, x_BTE: Tensor, real_BT: Tensor | None, part: Callable[[Tensor], Tensor]) -> Tensor:
        if self.first:
            return x_BTE + self.dropout(part(self.norm(x_BTE, real_BT)))
        return self.norm(x_BTE + self.dropout(part(x_BTE)), real_BT)


class Block(nn.Module):
    """Self-attention, then the feed-forward network. A decoder's has cross-attention between them.

    Args:
        layer: under which number a cache keeps its keys and values.
    """

    def __init__(self, system: Attentive, layer: int, *, decodes: bool = False) -> None:
        super().__init__()
        self.attention = _attention(system, system.looking_within, layer)
        self.around_attention = Around(system)
        self.cross = _attention(system, system.looking_across, layer) if decodes else None
        self.around_cross = Around(system) if decodes else None
        self.feed_forward = FeedForward(system.width, system.inner, system.dropout)
        self.around_feed_forward = Around(system)

    def forward(
        self,
        x_BTE: Tensor,
        mask: Mask,
        real_BT: Tensor | None,
        memory_NSE: Tensor | None = None,
        memory_mask: Mask = EVERYTHING,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        def look_across(y_BTE: Tensor) -> Tensor:
            assert self.cross is not None
            assert memory_NSE is not None
            # the beams of a text ask its memory as if they were one longer row of queries: nothing of it is copied
            queries = y_BTE.reshape(len(memory_NSE), -1, y_BTE.shape[-1])
            return self.cross(queries, memory_NSE, memory_mask, cache)[0].view_as(y_BTE)

        x_BTE = self.around_attention(x_BTE, real_BT, lambda y_BTE: self.attention(y_BTE, mask=mask, cache=cache)[0])
        if self.around_cross is not None:
            x_BTE = self.around_cross(x_BTE, real_BT, look_across)
        return self.around_feed_forward(x_BTE, real_BT, self.feed_forward)


class Last(nn.Module):
    """The norm after the last block, where blocks do not end with their own."""

    def __init__(self, system: Attentive) -> None:
        super().__init__()
        self.norm = system.norm.build(system.width) if system.order == "pre" else None

    def forward(self, x_BTE: Tensor, real_BT: Tensor | None) -> Tensor:
        return x_BTE if self.norm is None else self.norm(x_BTE, real_BT)


class Encoder(nn.Module):
    """Every token looks at every real one."""

    def __init__(self, system: Attentive) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(system, layer) for layer in range(system.layers))
        self.norm = Last(system)

    def forward(self, x_BTE: Tensor, real_BT: Tensor | None) -> tuple[Tensor, ...]:
        """What goes in, and what each block makes of it, the last after its norm: (B, T, E) each."""
        mask, hidden = seen(real_BT), [x_BTE]
        for block in self.blocks:
            hidden.append(block(hidden[-1], mask, real_BT))
        return (*hidden[:-1], self.norm(hidden[-1], real_BT))


class Decoder(nn.Module):
    """Every token looks at those before it, and at every real one of a memory."""

    def __init__(self, system: Attentive) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(system, layer, decodes=True) for layer in range(system.layers))
        self.norm = Last(system)

    def forward(
        self,
        x_BTE: Tensor,
        memory_NSE: Tensor,
        memory_real_NS: Tensor | None,
        real_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Padding needs no mask, for it stands behind what is real, and nothing looks ahead; norms are told of it."""
        mask, memory_mask = Causal(0 if cache is None else cache.get_seq_length()), seen(memory_real_NS)
        for block in self.blocks:
            x_BTE = block(x_BTE, mask, real_BT, memory_NSE, memory_mask, cache)
        return self.norm(x_BTE, real_BT)


def seen(real_BT: Tensor | None) -> Mask:
    """The mask of what is real; none, where all is."""
    return EVERYTHING if real_BT is None or bool(real_BT.all()) else Padding(real_BT.bool())


def _attention(system: Attentive, core: Core, layer: int) -> MultiHeadAttention:
    return MultiHeadAttention(system.width, system.heads, dropout=system.dropout, core=core, layer=layer)
