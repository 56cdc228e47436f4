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

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finetune.attention.blocks import Bias, Block, Plan, product
from finetune.attention.masks import Mask, lowest
from finetune.dropout import draw_seed


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
    plan = Plan(
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
    def forward(ctx: Any, q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, plan: Plan) -> Tensor:
        # in one piece a head's keys are a view, whatever their number
        q_BHTD, k_BKSD, v_BKSD = (each.contiguous() for each in (q_BHTD, k_BKSD, v_BKSD))
        context_BHTD = _merging(q_BHTD, v_BKSD.shape[3])
        logs_BHT1 = q_BHTD.new_empty((*q_BHTD.shape[:3], 1), dtype=_exact(q_BHTD)) if plan.online else None
        kept: list[Tensor] = []
        for block in plan.blocks():
            q_nmD = block.queries(q_BHTD)
            if logs_BHT1 is None:
                weights_nmc = plan.softmax(block, q_nmD, k_BKSD)
                context_nmD = product(plan.staying(block, weights_nmc), block.keys(v_BKSD))
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
        plan: Plan = ctx.plan
        weights = iter(kept)
        # of every row: what all its scores' gradients have in common
        common_BHT1 = (gradients[0] * context_BHTD).sum(-1, keepdim=True)
        o_BHTD = gradients[0] / (1 - plan.dropout) if plan.dropout else gradients[0]
        dq_BHTD = _merging(q_BHTD, q_BHTD.shape[3]).zero_()
        # what many blocks add up would lose digits in bfloat16; a key that is in one block needs no such care
        many = len(plan.rows) > 1
        dk_BKSD, dv_BKSD = (
            torch.zeros_like(each, dtype=_exact(each) if many else each.dtype) for each in (k_BKSD, v_BKSD)
        )
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
                piece.add(dv_BKSD, product(stay_nmc.mT, o_nmD))
                d_nmc = product(o_nmD, piece.keys(v_BKSD).mT)
                d_nmc = d_nmc if stays_nmc is None else d_nmc.mul_(stays_nmc)
                d_nmc.sub_(common_nm1).mul_(weights_nmc)
                block.put(dq_BHTD, product(d_nmc, piece.keys(k_BKSD), plan.scale), add=plan.online)
                piece.add(dk_BKSD, product(d_nmc.mT, q_nmD, plan.scale))
        return dq_BHTD, dk_BKSD.to(k_BKSD.dtype), dv_BKSD.to(v_BKSD.dtype), None


def _online(plan: Plan, block: Block, q_nmD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor) -> tuple[Tensor, Tensor]:
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
        values_nmD = values_nmD * fade_nm1 + product(plan.staying(piece, weights_nmc), piece.keys(v_BKSD))
    nothing_nm1 = top_nm1 < lowest(q_nmD.dtype) / 2  # no score but masked ones: zeros, and a logarithm to make zeros of
    logs_nm1 = (top_nm1 + sum_nm1.log()).masked_fill(nothing_nm1, torch.inf)
    return (values_nmD / sum_nm1).masked_fill(nothing_nm1, 0.0), logs_nm1


def _merging(x_BHTX: Tensor, width: int) -> Tensor:
    """Room for (B, H, T, width), laid out as the merge of heads wants it."""
    batch, heads, length = x_BHTX.shape[:3]
    return x_BHTX.new_empty((batch, length, heads, width)).transpose(1, 2)


def _exact(x: Tensor) -> torch.dtype:
    """The format of sums over many blocks."""
    return torch.promote_types(x.dtype, torch.float32)
