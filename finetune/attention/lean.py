"""Scaled dot-product attention without the T × S square: in blocks over queries and keys, with an online softmax.

Milakov and Gimelshein 2018 (arXiv 1805.02867) for the online softmax; Dao and others 2022 (arXiv 2205.14135) for
going back without having kept the weights: they are computed again, block by block, from each row's greatest score
and sum. Beyond inputs and outputs it needs two numbers per query and one block of scores, so O(T).

B batch, H heads of queries, K heads of keys and values (G = H/K), T queries, S keys, D head width; n heads of keys,
r queries and c keys are in a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from finetune.attention.masks import Mask

BLOCK = 512 * 1024  # scores in a block: as many as stay in a core's cache
KEYS = 2048  # keys in a block: more only where there is one query

Bias = Callable[[slice, slice], Tensor | None]


def lean(
    q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask, bias: Bias, *, scale: float, dropout: float
) -> Tensor:
    """The context of each query (B, H, T, D).

    Args:
        bias: of a block of queries and keys, what is added to its scores (H, r, c); a constant.
    """
    # drawn from the global generator, so that a seed, and a recomputed forward pass, decide what is dropped
    seed = int(torch.randint(2**62, ())) if dropout else 0
    return _Lean.apply(q_BHTD, k_BKSD, v_BKSD, mask, bias, scale, dropout, seed)  # pyright: ignore


class _Lean(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q_BHTD: Tensor,
        k_BKSD: Tensor,
        v_BKSD: Tensor,
        mask: Mask,
        bias: Bias,
        scale: float,
        dropout: float,
        seed: int,
    ) -> Tensor:
        blocks = _Blocks(q_BHTD, k_BKSD, mask, bias, scale, dropout, seed)
        # laid out as the merge of heads wants it
        context_BHTD = q_BHTD.transpose(1, 2).new_empty(
            (q_BHTD.shape[0], q_BHTD.shape[2], q_BHTD.shape[1], v_BKSD.shape[-1])
        )
        context_BHTD = context_BHTD.transpose(1, 2)
        exact = torch.promote_types(q_BHTD.dtype, torch.float32)
        tops_BHT1, sums_BHT1 = (q_BHTD.new_empty((*q_BHTD.shape[:3], 1), dtype=exact) for _ in range(2))
        for example, heads, rows in blocks.rows():
            q_nrD = blocks.grouped(q_BHTD, example, heads, rows)
            # a row's greatest score so far, the sum of exp(score − greatest), and that sum of values
            top_nr1 = q_nrD.new_full((*q_nrD.shape[:2], 1), -torch.inf, dtype=exact)
            sum_nr1 = torch.zeros_like(top_nr1)
            values_nrD = q_nrD.new_zeros((*q_nrD.shape[:2], v_BKSD.shape[-1]), dtype=exact)
            for columns, scores_nrc in blocks.scores(q_nrD, k_BKSD, example, heads, rows):
                before_nr1, top_nr1 = top_nr1, torch.maximum(top_nr1, scores_nrc.amax(-1, keepdim=True).to(exact))
                shift_nr1 = torch.where(top_nr1 == -torch.inf, 0.0, top_nr1)  # nothing allowed so far
                weights_nrc = scores_nrc.sub_(shift_nr1.to(scores_nrc.dtype)).exp_()
                fade_nr1 = (before_nr1 - shift_nr1).exp_()
                sum_nr1 = sum_nr1 * fade_nr1 + weights_nrc.sum(-1, keepdim=True, dtype=exact)
                kept_nrc = blocks.dropped(weights_nrc, example, heads, rows, columns)
                values_nrD = values_nrD * fade_nr1 + kept_nrc @ v_BKSD[example, heads, columns]
            # a row that may look at nothing has a sum of zero, and values of zero
            sum_nr1 = torch.where(sum_nr1 == 0, 1.0, sum_nr1)
            blocks.put(context_BHTD, values_nrD / sum_nr1, example, heads, rows)
            blocks.put(tops_BHT1, torch.where(top_nr1 == -torch.inf, 0.0, top_nr1), example, heads, rows)
            blocks.put(sums_BHT1, sum_nr1, example, heads, rows)
        ctx.save_for_backward(q_BHTD, k_BKSD, v_BKSD, context_BHTD, tops_BHT1, sums_BHT1)
        ctx.blocks = blocks
        return context_BHTD

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q_BHTD, k_BKSD, v_BKSD, context_BHTD, tops_BHT1, sums_BHT1 = ctx.saved_tensors
        blocks: _Blocks = ctx.blocks
        out_BHTD = gradients[0]
        exact = sums_BHT1.dtype
        # a weight is exp(score − top) / sum; dividing the gradient instead leaves the T × S square alone, and rounds
        # each of its numbers in its own direction
        out_BHTD = out_BHTD / sums_BHT1
        # of every row: what all its scores' gradients have in common
        common_BHT1 = (out_BHTD * context_BHTD).sum(-1, keepdim=True).to(q_BHTD.dtype)
        out_BHTD, tops_BHT1 = out_BHTD.to(q_BHTD.dtype), tops_BHT1.to(q_BHTD.dtype)
        dq_BHTD = torch.empty_like(q_BHTD)
        dk_BKSD, dv_BKSD = (torch.zeros_like(each, dtype=exact) for each in (k_BKSD, v_BKSD))
        for example, heads, rows in blocks.rows():
            q_nrD = blocks.grouped(q_BHTD, example, heads, rows)
            out_nrD = blocks.grouped(out_BHTD, example, heads, rows)
            tops_nr1 = blocks.grouped(tops_BHT1, example, heads, rows)
            common_nr1 = blocks.grouped(common_BHT1, example, heads, rows)
            dq_nrD = torch.zeros_like(q_nrD, dtype=exact)
            for columns, scores_nrc in blocks.scores(q_nrD, k_BKSD, example, heads, rows):
                weights_nrc = scores_nrc.sub_(tops_nr1).exp_()
                kept_nrc = blocks.dropped(weights_nrc, example, heads, rows, columns)
                dv_BKSD[example, heads, columns] += kept_nrc.transpose(-1, -2) @ out_nrD
                d_nrc = out_nrD @ v_BKSD[example, heads, columns].transpose(-1, -2)
                d_nrc = blocks.dropped(d_nrc, example, heads, rows, columns)
                d_nrc = d_nrc.sub_(common_nr1).mul_(weights_nrc)
                dq_nrD += d_nrc @ k_BKSD[example, heads, columns]
                dk_BKSD[example, heads, columns] += d_nrc.transpose(-1, -2) @ q_nrD
            blocks.put(dq_BHTD, dq_nrD.mul_(blocks.scale), example, heads, rows)
        dk_BKSD.mul_(blocks.scale)
        return (dq_BHTD, dk_BKSD.to(k_BKSD.dtype), dv_BKSD.to(v_BKSD.dtype), *[None] * 5)


class _Blocks:
    """Which part of the square is worked on when. One example at a time: its heads are strided, and nothing is copied.

    The queries of the G heads that share a head of keys are rows of one product.
    """

    def __init__(
        self, q_BHTD: Tensor, k_BKSD: Tensor, mask: Mask, bias: Bias, scale: float, dropout: float, seed: int
    ) -> None:
        self.batch, heads, self.queries, self.width = q_BHTD.shape
        self.shared, self.keys = k_BKSD.shape[1:3]
        self.group = heads // self.shared
        self.columns = min(self.keys, KEYS)
        self.height = max(1, min(self.queries, BLOCK // (self.columns * self.group)))
        self.heads = max(1, min(self.shared, BLOCK // (self.height * self.columns * self.group)))
        self.mask, self.bias, self.scale, self.dropout, self.seed = mask, bias, scale, dropout, seed
        self.device = q_BHTD.device

    def rows(self) -> Iterator[tuple[int, slice, slice]]:
        """Example, heads of keys, and queries of each block."""
        for example in range(self.batch):
            for head in range(0, self.shared, self.heads):
                for row in range(0, self.queries, self.height):
                    yield (
                        example,
                        slice(head, min(head + self.heads, self.shared)),
                        slice(row, min(row + self.height, self.queries)),
                    )

    def scores(
        self, q_nrD: Tensor, k_BKSD: Tensor, example: int, heads: slice, rows: slice
    ) -> Iterator[tuple[slice, Tensor]]:
        """The scores of a block of queries, by block of keys; −∞ where it is not allowed, nothing where nothing is."""
        for start in range(0, self.keys, self.columns):
            columns = slice(start, min(start + self.columns, self.keys))
            allowed = self.mask.block(rows, columns, self.device)
            if allowed is False:
                continue
            k_ncD = k_BKSD[example, heads, columns]
            scores_nrc = torch.baddbmm(q_nrD.new_empty(1), q_nrD, k_ncD.transpose(-1, -2), beta=0, alpha=self.scale)
            square = scores_nrc.view(-1, rows.stop - rows.start, columns.stop - columns.start)
            added_Hrc = self.bias(rows, columns)
            if added_Hrc is not None:
                square += added_Hrc[self._queries_of(heads)]
            if isinstance(allowed, Tensor):
                own = allowed[example if allowed.shape[0] > 1 else 0]
                square.masked_fill_(~(own[self._queries_of(heads)] if own.shape[0] > 1 else own), -torch.inf)
            yield columns, scores_nrc

    def dropped(self, weights_nrc: Tensor, example: int, heads: slice, rows: slice, columns: slice) -> Tensor:
        """The weights that are kept, the same ones each time this block is asked for."""
        if not self.dropout:
            return weights_nrc
        place = ((example * self.shared + heads.start) * self.queries + rows.start) * self.keys + columns.start
        generator = torch.Generator(self.device).manual_seed((self.seed + place) % 2**63)
        kept_nrc = torch.empty_like(weights_nrc).bernoulli_(1 - self.dropout, generator=generator)
        return weights_nrc * kept_nrc.div_(1 - self.dropout)

    def grouped(self, x_BHTX: Tensor, example: int, heads: slice, rows: slice) -> Tensor:
        """A block of queries with a group's heads one below the other: (n, r, X)."""
        x_hrX = x_BHTX[example, self._queries_of(heads), rows]
        return x_hrX if self.group == 1 else x_hrX.reshape(heads.stop - heads.start, -1, x_hrX.shape[-1])

    def put(self, whole_BHTX: Tensor, block_nrX: Tensor, example: int, heads: slice, rows: slice) -> None:
        """The way back from `grouped`."""
        height = rows.stop - rows.start
        whole_BHTX[example, self._queries_of(heads), rows] = block_nrX.reshape(-1, height, block_nrX.shape[-1])

    def _queries_of(self, heads: slice) -> slice:
        return slice(heads.start * self.group, heads.stop * self.group)
