"""Scaled dot-product attention in blocks of queries, with its gradient written out.

Never more of the T × S square is worked on at a time than fits in a block:

    forward     P = softmax(QKᵀ/√D + bias),   O = PV
    backward    dV = Pᵀ dO,   dP = dO Vᵀ,   dS = P ∘ (dP − rowsum(dO ∘ O)),   dQ = dS K/√D,   dK = dSᵀ Q/√D

The weights P are kept for the way back, or, to need O(T) of memory beyond inputs and outputs, computed again (Dao and
others 2022, arXiv 2205.14135). Only keys that a mask lets some query of the block reach are computed at all. Rows of
more keys than a block has go through an online softmax (Milakov and Gimelshein 2018, arXiv 1805.02867).

B batch, H heads of queries, K heads of keys and values (G = H/K), T queries, S keys, D head width; n examples' heads of
keys, r queries and c keys are in a block, which has m = G · r rows for each of the n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finetune.attention.dropout import draw_seed, stays
from finetune.attention.masks import Mask, added, lowest

BLOCK = 4 * 2**20  # scores in a block: large enough that starting an operation costs nothing beside it
KEYS = 8192  # keys in a block
QUERIES = 128  # queries in a block, where a mask leaves keys out that need not be computed

Bias = Callable[[slice, slice], Tensor | None]


def lean(
    q_BHTD: Tensor,
    k_BKSD: Tensor,
    v_BKSD: Tensor,
    mask: Mask,
    bias: Bias,
    *,
    scale: float,
    dropout: float,
    keep: bool,
) -> Tensor:
    """The context of each query (B, H, T, D).

    Args:
        bias: of a block of queries and keys, what is added to its scores (H, r, c); a constant.
        keep: keep the weights for the way back instead of computing them again: faster, for B · H · T · S numbers.
    """
    learns = torch.is_grad_enabled() and any(each.requires_grad for each in (q_BHTD, k_BKSD, v_BKSD))
    plan = _Plan(
        shape=(q_BHTD.shape[0], q_BHTD.shape[1], q_BHTD.shape[2], k_BKSD.shape[1], k_BKSD.shape[2]),
        mask=mask,
        bias=bias,
        scale=scale,
        dropout=dropout,
        seed=draw_seed() if dropout else 0,
        keep=keep and learns,
    )
    return _Lean.apply(q_BHTD, k_BKSD, v_BKSD, plan)  # pyright: ignore


class _Lean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, plan: _Plan) -> Tensor:
        # in one piece a head's keys are a view, whatever their number
        q_BHTD, k_BKSD, v_BKSD = (each.contiguous() for each in (q_BHTD, k_BKSD, v_BKSD))
        context_BHTD = _merging(q_BHTD, v_BKSD.shape[3])
        logs_BHT1 = q_BHTD.new_empty((*q_BHTD.shape[:3], 1), dtype=_exact(q_BHTD)) if plan.online else None
        kept: list[Tensor] = []
        for block in plan.blocks():
            q_nmD = block.queries(q_BHTD)
            if logs_BHT1 is None:
                weights_nmc = plan.softmax(block, q_nmD, k_BKSD)
                context_nmD = _product(plan.staying(block, weights_nmc), block.keys(v_BKSD))
                kept += [weights_nmc] if plan.keep else []
            else:
                context_nmD, logs_nm1 = _online(plan, block, q_nmD, k_BKSD, v_BKSD)
                block.put(logs_BHT1, logs_nm1)
            block.put(context_BHTD, context_nmD)
        context_BHTD = context_BHTD.div_(1 - plan.dropout) if plan.dropout else context_BHTD
        ctx.save_for_backward(q_BHTD, k_BKSD, v_BKSD, context_BHTD, logs_BHT1, *kept)
        ctx.plan = plan
        return context_BHTD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        q_BHTD, k_BKSD, v_BKSD, context_BHTD, logs_BHT1, *kept = ctx.saved_tensors
        plan: _Plan = ctx.plan
        weights = iter(kept)
        # of every row: what all its scores' gradients have in common
        common_BHT1 = (gradients[0] * context_BHTD).sum(-1, keepdim=True)
        o_BHTD = gradients[0] / (1 - plan.dropout) if plan.dropout else gradients[0]
        dq_BHTD = _merging(q_BHTD, q_BHTD.shape[3]).zero_()
        # what many blocks add up would lose digits in bfloat16
        dk_BKSD, dv_BKSD = (torch.zeros_like(each, dtype=_exact(each)) for each in (k_BKSD, v_BKSD))
        for block in plan.blocks():
            q_nmD, o_nmD, common_nm1 = (block.queries(each) for each in (q_BHTD, o_BHTD, common_BHT1))
            for piece in block.pieces():
                if logs_BHT1 is not None:
                    scores_nmc = plan.scores(piece, q_nmD, k_BKSD)
                    weights_nmc = (scores_nmc - block.queries(logs_BHT1)).exp().to(q_nmD.dtype)
                else:
                    weights_nmc = next(weights) if plan.keep else plan.softmax(piece, q_nmD, k_BKSD)
                stays_nmc = plan.stays(piece, weights_nmc)
                stay_nmc = weights_nmc if stays_nmc is None else weights_nmc * stays_nmc
                piece.add(dv_BKSD, _product(stay_nmc.mT, o_nmD))
                d_nmc = _product(o_nmD, piece.keys(v_BKSD).mT)
                d_nmc = d_nmc if stays_nmc is None else d_nmc.mul_(stays_nmc)
                d_nmc.sub_(common_nm1).mul_(weights_nmc)
                block.put(dq_BHTD, _product(d_nmc, piece.keys(k_BKSD), plan.scale), add=plan.online)
                piece.add(dk_BKSD, _product(d_nmc.mT, q_nmD, plan.scale))
        return dq_BHTD, dk_BKSD.to(k_BKSD.dtype), dv_BKSD.to(v_BKSD.dtype), None


def _online(plan: _Plan, block: _Block, q_nmD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor) -> tuple[Tensor, Tensor]:
    """The context of a block of queries, and the logarithm of the sum of each row's exponentials."""
    # a row's greatest score so far, the sum of exp(score − greatest), and that sum of values
    top_nm1 = q_nmD.new_full((*q_nmD.shape[:2], 1), -torch.inf, dtype=_exact(q_nmD))
    sum_nm1, values_nmD = torch.zeros_like(top_nm1), torch.zeros((), dtype=top_nm1.dtype, device=q_nmD.device)
    for piece in block.pieces():
        scores_nmc = plan.scores(piece, q_nmD, k_BKSD)
        before_nm1, top_nm1 = top_nm1, torch.maximum(top_nm1, scores_nmc.amax(-1, keepdim=True))
        weights_nmc = (scores_nmc - top_nm1).exp().to(q_nmD.dtype)
        fade_nm1 = (before_nm1 - top_nm1).exp()
        sum_nm1 = sum_nm1 * fade_nm1 + weights_nmc.sum(-1, keepdim=True, dtype=sum_nm1.dtype)
        values_nmD = values_nmD * fade_nm1 + _product(plan.staying(piece, weights_nmc), piece.keys(v_BKSD))
    nothing_nm1 = top_nm1 < lowest(q_nmD.dtype) / 2  # no score but masked ones: zeros, and a logarithm to make zeros of
    logs_nm1 = (top_nm1 + sum_nm1.log()).masked_fill(nothing_nm1, torch.inf)
    return (values_nmD / sum_nm1).masked_fill(nothing_nm1, 0.0), logs_nm1


@dataclass(frozen=True, kw_only=True)
class _Block:
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

    def pieces(self) -> Iterator[_Block]:
        """Blocks of fewer keys; itself, where it has few."""
        for start in range(self.columns.start, self.columns.stop, KEYS):
            yield replace(self, columns=slice(start, min(start + KEYS, self.columns.stop)))


@dataclass(frozen=True, kw_only=True)
class _Plan:
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

    def blocks(self) -> Iterator[_Block]:
        batch, heads, _, shared, keys = self.shape
        group, height = heads // shared, self.rows[0][0].stop
        together = max(1, BLOCK // (group * height * max(1, min(KEYS, keys))))  # heads of keys
        examples, part = max(1, together // shared), min(together, shared)
        for example in range(0, batch, examples):
            for head in range(0, shared, part):
                for rows, columns in self.rows:
                    yield _Block(
                        examples=slice(example, min(example + examples, batch)),
                        heads=slice(head, min(head + part, shared)),
                        rows=rows,
                        columns=columns,
                        group=group,
                    )

    def scores(self, block: _Block, q_nmD: Tensor, k_BKSD: Tensor) -> Tensor:
        """The scores of a block (n, m, c), those that are masked far below all others."""
        return self._masked(block, q_nmD, k_BKSD)[0]

    def softmax(self, block: _Block, q_nmD: Tensor, k_BKSD: Tensor) -> Tensor:
        """The weights of a block that has all keys of its queries; zeros for a query that may look at none."""
        scores_nmc, added_ehrc = self._masked(block, q_nmD, k_BKSD)
        weights_nmc = scores_nmc.softmax(-1)
        if added_ehrc is not None and scores_nmc.shape[-1]:
            alive_ehr1 = added_ehrc.amax(-1, keepdim=True) > lowest(q_nmD.dtype)
            # a device is not made to wait for the answer
            if q_nmD.device.type != "cpu" or not bool(alive_ehr1.all()):
                self._square(block, weights_nmc).mul_(alive_ehr1)
        return weights_nmc

    def stays(self, block: _Block, weights_nmc: Tensor) -> Tensor | None:
        """1 for a weight that stays, 0 for one that is dropped: the same ones each time this block is asked for."""
        return stays(weights_nmc, self.dropout, (self.seed, *block.place)) if self.dropout else None

    def staying(self, block: _Block, weights_nmc: Tensor) -> Tensor:
        stays_nmc = self.stays(block, weights_nmc)
        return weights_nmc if stays_nmc is None else stays_nmc.mul_(weights_nmc)

    def _masked(self, block: _Block, q_nmD: Tensor, k_BKSD: Tensor) -> tuple[Tensor, Tensor | None]:
        """The scores of a block, and what the mask has added to them."""
        scores_nmc = _product(q_nmD, block.keys(k_BKSD).mT, self.scale)
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

    def _square(self, block: _Block, x_nmc: Tensor) -> Tensor:
        height, columns = block.rows.stop - block.rows.start, block.columns.stop - block.columns.start
        return x_nmc.view(block.examples.stop - block.examples.start, -1, height, columns)


def _cut(allowed: Tensor | bool, block: _Block, device: torch.device) -> Tensor:
    """A block's own examples and heads of a mask."""
    if isinstance(allowed, bool):
        return torch.full((1, 1, 1, 1), allowed, device=device)
    examples, heads, _ = block.own
    return allowed[examples if allowed.shape[0] > 1 else slice(None), heads if allowed.shape[1] > 1 else slice(None)]


def _product(a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
    # `@` copies a transposed operand in bfloat16 where there is only one matrix of them
    return torch.baddbmm(a.new_empty(1), a, b, beta=0, alpha=scale)


def _merging(x_BHTX: Tensor, width: int) -> Tensor:
    """Room for (B, H, T, width), laid out as the merge of heads wants it."""
    batch, heads, length = x_BHTX.shape[:3]
    return x_BHTX.new_empty((batch, length, heads, width)).transpose(1, 2)


def _exact(x: Tensor) -> torch.dtype:
    """The format of sums over many blocks."""
    return torch.promote_types(x.dtype, torch.float32)
