"""The square of queries and keys, cut into blocks: in which order they are worked on, and what becomes of their scores.

Never more of the T × S square is there at a time than fits in a block. Only keys that a mask lets some query of the
block reach are computed at all.

B batch, H heads of queries, K heads of keys and values (G = H/K), T queries, S keys, D head width; e examples, h heads,
n examples' heads of keys, r queries and c keys are in a block, which has m = G · r rows for each of the n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from finetune.attention.masks import Mask, added, lowest
from finetune.dropout import stays

BLOCK = 4 * 2**20  # scores in a block: large enough that starting an operation costs nothing beside it
KEYS = 8192  # keys in a block
QUERIES = 128  # queries in a block, where a mask leaves keys out that need not be computed

Bias = Callable[[slice, slice], Tensor | None]


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of the square: some examples' heads of keys, with the G heads of queries of each one below the other."""

    examples: slice
    heads: slice
    rows: slice
    columns: slice
    group: int

    @property
    def own(self) -> tuple[slice, slice, slice]:
        """Where its queries are in B, H, T."""
        return self.examples, slice(self.heads.start * self.group, self.heads.stop * self.group), self.rows

    @property
    def place(self) -> tuple[int, ...]:
        return self.examples.start, self.heads.start, self.rows.start, self.columns.start

    def queries(self, x_BHTX: Tensor) -> Tensor:
        """(n, m, X)."""
        x_ehrX = x_BHTX[self.own]
        return x_ehrX.reshape(-1, self.group * x_ehrX.shape[2], x_ehrX.shape[3])

    def put(self, x_BHTX: Tensor, block_nmX: Tensor, add: bool = False) -> None:
        """The way back from `queries`."""
        target = x_BHTX[self.own]
        block = block_nmX.view(target.shape)
        target.add_(block) if add else target.copy_(block)

    def keys(self, x_BKSX: Tensor) -> Tensor:
        """(n, c, X)."""
        return x_BKSX[self.examples, self.heads, self.columns].flatten(0, 1)

    def add(self, x_BKSX: Tensor, block_ncX: Tensor) -> None:
        target = x_BKSX[self.examples, self.heads, self.columns]
        target += block_ncX.view(target.shape)

    def pieces(self) -> Iterator[Block]:
        """Blocks of fewer keys; itself, where it has few."""
        for start in range(self.columns.start, self.columns.stop, KEYS):
            yield replace(self, columns=slice(start, min(start + KEYS, self.columns.stop)))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which part of the square is worked on when, and what becomes of its scores."""

    shape: tuple[int, int, int, int, int]  # B, H, T, K, S
    mask: Mask
    bias: Bias
    scale: float
    dropout: float
    seed: int
    keep: bool

    @cached_property
    def rows(self) -> list[tuple[slice, slice]]:
        """Blocks of queries, and the keys that they reach."""
        _, heads, queries, shared, keys = self.shape
        first = self.mask.reach(slice(0, min(QUERIES, queries)), keys)
        limit = BLOCK * shared // (heads * max(1, min(KEYS, keys)))
        height = max(1, min(queries if first == slice(0, keys) else QUERIES, limit))
        rows = [slice(start, min(start + height, queries)) for start in range(0, queries, height)]
        return [(each, self.mask.reach(each, keys)) for each in rows]

    @cached_property
    def online(self) -> bool:
        """Whether some query has more keys than a block: its softmax is then never there as a whole."""
        return any(columns.stop - columns.start > KEYS for _, columns in self.rows)

    def blocks(self) -> Iterator[Block]:
        batch, heads, _, shared, keys = self.shape
        group, height = heads // shared, self.rows[0][0].stop
        together = max(1, BLOCK // (group * height * max(1, min(KEYS, keys))))  # heads of keys
        examples, part = max(1, together // shared), min(together, shared)
        for example in range(0, batch, examples):
            for head in range(0, shared, part):
                for rows, columns in self.rows:
                    yield Block(
                        examples=slice(example, min(example + examples, batch)),
                        heads=slice(head, min(head + part, shared)),
                        rows=rows,
                        columns=columns,
                        group=group,
                    )

    def scores(self, block: Block, q_nmD: Tensor, k_BKSD: Tensor) -> Tensor:
        """The scores of a block (n, m, c), those that are masked far below all others."""
        return self._masked(block, q_nmD, k_BKSD)[0]

    def softmax(self, block: Block, q_nmD: Tensor, k_BKSD: Tensor) -> Tensor:
        """The weights of a block that has all keys of its queries; zeros for a query that may look at none."""
        scores_nmc, added_ehrc = self._masked(block, q_nmD, k_BKSD)
        weights_nmc = scores_nmc.softmax(-1)
        if added_ehrc is not None and scores_nmc.shape[-1]:
            alive_ehr1 = added_ehrc.amax(-1, keepdim=True) > lowest(q_nmD.dtype)
            # a device is not made to wait for the answer
            if q_nmD.device.type != "cpu" or not bool(alive_ehr1.all()):
                self._square(block, weights_nmc).mul_(alive_ehr1)
        return weights_nmc

    def stays(self, block: Block, weights_nmc: Tensor) -> Tensor | None:
        """1 for a weight that stays, 0 for one that is dropped: the same ones each time this block is asked for."""
        return stays(weights_nmc, self.dropout, (self.seed, *block.place)) if self.dropout else None

    def staying(self, block: Block, weights_nmc: Tensor) -> Tensor:
        stays_nmc = self.stays(block, weights_nmc)
        return weights_nmc if stays_nmc is None else stays_nmc.mul_(weights_nmc)

    def _masked(self, block: Block, q_nmD: Tensor, k_BKSD: Tensor) -> tuple[Tensor, Tensor | None]:
        """The scores of a block, and what the mask has added to them."""
        scores_nmc = product(q_nmD, block.keys(k_BKSD).mT, self.scale)
        square_ehrc = self._square(block, scores_nmc)
        bias_Hrc = self.bias(block.rows, block.columns)
        if bias_Hrc is not None:
            square_ehrc += bias_Hrc[block.own[1]]
        found = [part.block(block.rows, block.columns, q_nmD.device) for part in self.mask.parts()]
        masks = [added(_cut(each, block, q_nmD.device), q_nmD.dtype) for each in found if each is not True]
        if not masks:
            return scores_nmc, None
        added_ehrc = sum(masks[1:], start=masks[0])
        square_ehrc += added_ehrc
        return scores_nmc, added_ehrc

    def _square(self, block: Block, x_nmc: Tensor) -> Tensor:
        examples, heads, rows = (each.stop - each.start for each in block.own)
        return x_nmc.view(examples, heads, rows, -1) if x_nmc.numel() else x_nmc.new_empty(examples, heads, rows, 0)


def _cut(allowed: Tensor | bool, block: Block, device: torch.device) -> Tensor:
    """A block's own examples and heads of a mask."""
    if isinstance(allowed, bool):
        return torch.full((1, 1, 1, 1), allowed, device=device)
    examples, heads, _ = block.own
    return allowed[examples if allowed.shape[0] > 1 else slice(None), heads if allowed.shape[1] > 1 else slice(None)]


def product(a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
    """The products of two lists of matrices, (n, r, i) and (n, i, c), scaled."""
    # `@` copies a transposed operand in bfloat16 where there is only one matrix of them
    return torch.baddbmm(a.new_empty(1), a, b, beta=0, alpha=scale)
