"""Multi-head attention from scratch (Vaswani and others 2017, arXiv 1706.03762, section 3.2.2).

    MultiHead(x) = concat(head_1, …, head_H) W_o,   head_h = Core(x W_q,h, memory W_k,h, memory W_v,h)

B batch, T queries, S keys, E model width, H heads of queries, K heads of keys and values, D head width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from finetune.attention.cores import Core
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.masks import EVERYTHING, Mask
from finetune.errors import InputError


class Cache(Protocol):
    """Keys and values of what was read before, by layer. transformers' caches are such, too."""

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, /) -> tuple[Tensor, Tensor]:
        """Append a layer's new keys and values (B, K, new, D); returns all of them (B, K, S, D)."""
        ...

    def get_seq_length(self, layer_idx: int = 0, /) -> int:
        """How many there are of a layer."""
        ...


@dataclass
class KeyValueCache:
    """The simplest cache: it grows by concatenation. Of a memory, which does not grow, it keeps what was made once."""

    layers: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    memories: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def update(self, k_BKSD: Tensor, v_BKSD: Tensor, layer: int, /) -> tuple[Tensor, Tensor]:
        if layer in self.layers:
            before_k, before_v = self.layers[layer]
            k_BKSD, v_BKSD = torch.cat([before_k, k_BKSD], dim=2), torch.cat([before_v, v_BKSD], dim=2)
        self.layers[layer] = k_BKSD, v_BKSD
        return k_BKSD, v_BKSD

    def get_seq_length(self, layer: int = 0, /) -> int:
        return self.layers[layer][0].shape[2] if layer in self.layers else 0

    def memory(self, layer: int, project: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer's memory (N, K, S, D), projected the first time it is asked for."""
        if layer not in self.memories:
            self.memories[layer] = project()
        return self.memories[layer]

    def pick(self, rows_B: Tensor, examples_N: Tensor) -> None:
        """Go on with these rows, in this order and as often as they are named, and with these examples' memories."""
        self.layers = _picked(self.layers, rows_B)
        if self.memories and len(examples_N) < len(next(iter(self.memories.values()))[0]):
            self.memories = _picked(self.memories, examples_N)


def _picked(layers: dict[int, tuple[Tensor, Tensor]], rows_B: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    # rows are copied whole, which indexing does not: a fifth of a search with beams went into that
    return {layer: (k.index_select(0, rows_B), v.index_select(0, rows_B)) for layer, (k, v) in layers.items()}


class Attention(nn.Module):
    """What every attention module of ours does once it has queries, keys and values."""

    def __init__(self, core: Core, width: int, heads: int, head_width: int, dropout: float, layer: int) -> None:
        super().__init__()
        self.core, self.dropout_share, self.layer, self.scale = core, dropout, layer, head_width**-0.5
        self.learned = nn.ParameterDict(core.learned(width, heads, head_width))
        self.watcher: Callable[[Tensor], None] | None = None  # gets the weights (B, H, T, S) of every call

    def attend(self, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask) -> tuple[Tensor, Tensor | None]:
        """The heads' contexts side by side (B, T, H·D), and the weights where somebody watches."""
        context_BHTD, weights_BHTS = self.core(
            q_BHTD,
            k_BKSD,
            v_BKSD,
            mask,
            scale=self.scale,
            dropout=self.dropout_share if self.training else 0.0,
            learned=dict(self.learned),
            need_weights=self.watcher is not None,
        )
        if self.watcher is not None:
            if weights_BHTS is None:
                raise InputError(f"{type(self.core).__name__} has no weights to show: nothing is mixed by weight")
            self.watcher(weights_BHTS)
        return context_BHTD.transpose(1, 2).flatten(2), weights_BHTS


class MultiHeadAttention(Attention):
    """Self-attention of x, or cross-attention from x to a memory.

    Args:
        width: E, of inputs and outputs.
        heads: H, of queries.
        shared_heads: K, of keys and values; None: as many as of queries. Fewer are grouped-query attention (Ainslie
            and others 2023, arXiv 2305.13245).
        memory_width: of what keys and values are made from, where it is not x.
        dropout: share of the weights dropped while training.
        core: what becomes of queries, keys and values.
        layer: under which number a cache keeps this module's keys and values.

    Raises:
        InputError: heads that do not divide the width, or each other.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        shared_heads: int | None = None,
        memory_width: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        core: Core | None = None,
        layer: int = 0,
    ) -> None:
        shared_heads = shared_heads or heads
        if heads < 1 or width % heads:
            raise InputError(f"{heads} heads do not divide a width of {width}")
        if heads % shared_heads:
            raise InputError(f"{heads} heads of queries cannot share {shared_heads} heads of keys: it must divide them")
        self.head_width = width // heads
        super().__init__(core or ScaledDotProduct(), width, heads, self.head_width, dropout, layer)
        shared = shared_heads * self.head_width
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(memory_width or width, shared, bias=bias)
        self.value = nn.Linear(memory_width or width, shared, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(
        self, x_BTE: Tensor, memory_BSE: Tensor | None = None, mask: Mask = EVERYTHING, cache: Cache | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """What each position of x has gathered (B, T, E), and the weights (B, H, T, S) where somebody watches.

        With a cache, x continues what it holds: give a causal mask its length as offset. A memory is projected once.
        """
        seen = 0 if cache is None or memory_BSE is not None else cache.get_seq_length(self.layer)
        q_BHTD = split(self.query(self._placed(x_BTE, seen)), self.head_width)
        if self.core.position is not None:
            q_BHTD = self.core.position.rotate(q_BHTD, seen)
        if memory_BSE is None:
            k_BKSD, v_BKSD = self._keys_and_values(x_BTE, seen)
            if cache is not None:
                k_BKSD, v_BKSD = cache.update(k_BKSD, v_BKSD, self.layer)
        elif isinstance(cache, KeyValueCache):
            k_BKSD, v_BKSD = cache.memory(self.layer, lambda: self._keys_and_values(memory_BSE, 0))
        else:
            k_BKSD, v_BKSD = self._keys_and_values(memory_BSE, 0)
        context_BTE, weights_BHTS = self.attend(q_BHTD, k_BKSD, v_BKSD, mask)
        return self.output(context_BTE), weights_BHTS

    def _keys_and_values(self, memory_BSE: Tensor, seen: int) -> tuple[Tensor, Tensor]:
        k_BKSD = split(self.key(self._placed(memory_BSE, seen)), self.head_width)
        if self.core.position is not None:
            k_BKSD = self.core.position.rotate(k_BKSD, seen)
        return k_BKSD, split(self.value(memory_BSE), self.head_width)

    def _placed(self, x_BTE: Tensor, seen: int) -> Tensor:
        return placed(self.core, x_BTE, seen, dict(self.learned))


def placed(core: Core, x_BTE: Tensor, seen: int, learned: dict[str, Tensor]) -> Tensor:
    """The inputs with their positions beside them, where the core's position is of that kind."""
    if core.position is None:
        return x_BTE
    encoded_TE = core.position.encode(x_BTE.shape[1], x_BTE.shape[2], seen, learned, x_BTE.device)
    return x_BTE if encoded_TE is None else x_BTE + encoded_TE.to(x_BTE.dtype)


def split(x_BTE: Tensor, head_width: int) -> Tensor:
    """(B, T, H·D) → (B, H, T, D)."""
    return x_BTE.unflatten(-1, (-1, head_width)).transpose(1, 2)
