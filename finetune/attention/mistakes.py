"""The definition of attention written out once more, and the mistakes one makes in it: what a core is compared with.

B batch, H heads of queries, K heads of keys and values (G = H/K), T queries, S keys, D head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from finetune.attention.masks import EVERYTHING, Causal, Mask, Padding

EXACT = 1e-9  # of two ways to compute the same thing in float64

Formula = Callable[[Tensor, Tensor, Tensor, Mask, float], Tensor]  # queries, keys, values, mask, scale → context


@dataclass(frozen=True)
class Case:
    """Queries (B, H, T, D), keys and values (B, K, S, D) in float64, and how they are to be attended to."""

    q_BHTD: Tensor
    k_BKSD: Tensor
    v_BKSD: Tensor
    mask: Mask
    scale: float


def diagnose(attend: Formula, cases: Iterable[Case]) -> tuple[float, str]:
    """How far it is from the definition in contexts and gradients, and the mistake it makes; empty where it is right.

    Where it is wrong in a case, later cases are not tried: put those first in which little can go wrong.
    """
    error = 0.0
    for case in cases:
        found = _outcome(attend, case)
        off = _off(found, _outcome(definition, case))
        if not off < EXACT:  # a NaN is less than nothing
            named = (name for name, wrong in MISTAKES.items() if _off(found, _outcome(wrong, case)) < EXACT)
            return off, next((f"as if {name}" for name in named), "like no mistake that is known")
        error = max(error, off)
    return error, ""


def definition(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask, scale: float) -> Tensor:
    """softmax(scale · QKᵀ)V over the keys allowed; zeros where there are none."""
    k_BHSD, v_BHSD = (_in_groups(each, q_BHTD.shape[1]) for each in (k_BKSD, v_BKSD))
    return _attended(q_BHTD, k_BHSD, v_BHSD, mask, scale)


def _attended(q_BHTD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor, mask: Mask, scale: float, over: int = -1) -> Tensor:
    scores_BHTS = q_BHTD @ k_BHSD.mT * scale
    allowed = mask.dense(q_BHTD.shape[2], k_BHSD.shape[2], q_BHTD.device)
    if allowed is not None:
        scores_BHTS = scores_BHTS.masked_fill(~allowed, -torch.inf)
    return scores_BHTS.softmax(over).nan_to_num(0) @ v_BHSD


def _in_groups(x_BKSD: Tensor, heads: int) -> Tensor:
    """The first G heads of queries have the first of keys, the next G the second, …"""
    return x_BKSD.repeat_interleave(heads // x_BKSD.shape[1], 1)


def _in_turns(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask, scale: float) -> Tensor:
    times = (1, q_BHTD.shape[1] // k_BKSD.shape[1], 1, 1)
    return _attended(q_BHTD, k_BKSD.repeat(times), v_BKSD.repeat(times), mask, scale)


def _over_queries(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask, scale: float) -> Tensor:
    k_BHSD, v_BHSD = (_in_groups(each, q_BHTD.shape[1]) for each in (k_BKSD, v_BKSD))
    return _attended(q_BHTD, k_BHSD, v_BHSD, mask, scale, over=-2)


def _transposed(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask, scale: float) -> Tensor:
    context_BHTD = definition(q_BHTD, k_BKSD, v_BKSD, mask, scale)
    return context_BHTD.transpose(1, 2).reshape(context_BHTD.shape)


def _under(change: Callable[[Mask], Mask]) -> Formula:
    """The definition with each part of the mask taken for another."""

    def formula(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask, scale: float) -> Tensor:
        changed = EVERYTHING
        for part in mask.parts():
            changed = changed & change(part)
        return definition(q_BHTD, k_BKSD, v_BKSD, changed, scale)

    return formula


def _causal(change: Callable[[int], Mask]) -> Formula:
    """The definition with another offset, or another mask at all, where the mask is causal."""
    return _under(lambda part: change(part.offset) if isinstance(part, Causal) else part)


MISTAKES: Mapping[str, Formula] = {
    "the scores were not scaled": lambda q, k, v, mask, _: definition(q, k, v, mask, 1.0),
    "the scale were that of all heads together": lambda q, k, v, mask, scale: definition(
        q, k, v, mask, scale * q.shape[1] ** -0.5
    ),
    "the model's scale were ignored": lambda q, k, v, mask, _: definition(q, k, v, mask, q.shape[-1] ** -0.5),
    "the softmax ran over the queries": _over_queries,
    "the heads were transposed": _transposed,
    "heads shared their keys in turns, not in groups": _in_turns,
    "the weights were constants to the gradient": lambda q, k, v, mask, scale: definition(
        q.detach(), k.detach(), v, mask, scale
    ),
    "the mask were dropped": _under(lambda _: EVERYTHING),
    "the padding were not masked": _under(lambda part: EVERYTHING if isinstance(part, Padding) else part),
    "the future were not masked": _causal(lambda _: EVERYTHING),
    "one position ahead were allowed": _causal(lambda offset: Causal(offset + 1)),
    "a query's own key were masked": _causal(lambda offset: Causal(offset - 1)),
    "queries stood at the first keys, not behind those of a cache": _causal(lambda _: Causal()),
}


def _outcome(attend: Formula, case: Case) -> list[Tensor]:
    """The context, and the gradients of queries, keys and values; zeros where there is none."""
    q, k, v = inputs = [each.clone().requires_grad_() for each in (case.q_BHTD, case.k_BKSD, case.v_BKSD)]
    context_BHTD = attend(q, k, v, case.mask, case.scale)
    found: tuple[Tensor | None, ...] = (None, None, None)
    if context_BHTD.requires_grad:
        weights_BHTD = torch.arange(context_BHTD.numel(), dtype=context_BHTD.dtype).cos().view_as(context_BHTD)
        found = torch.autograd.grad(context_BHTD, inputs, weights_BHTD, allow_unused=True)
    gradients = (torch.zeros_like(x) if each is None else each for each, x in zip(found, inputs, strict=True))
    return [context_BHTD.detach(), *gradients]


def _off(found: list[Tensor], expected: list[Tensor]) -> float:
    return float(torch.stack([(x - y).abs().max() for x, y in zip(found, expected, strict=True)]).max())
