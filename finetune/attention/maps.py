"""Attention to look at: the weights of every block, head, query and key, and what they amount to over all blocks.

L blocks, B batch, H heads, T queries, S keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from finetune.attention.multihead import Attention
from finetune.errors import InputError


class Watched(Protocol):
    """A module that gives its weights to whoever watches."""

    watcher: Callable[[Tensor], None] | None


@contextmanager
def attention_maps(model: nn.Module) -> Iterator[list[Tensor]]:
    """A list that gets the weights (B, H, T, S) of every call of our attention in a model, first block to last.

    While it lasts the form that can show its weights computes them, whichever would be fastest.

    Raises:
        InputError: the model's attention is not swapped, and so keeps its weights to itself.
    """
    modules = [module for module in model.modules() if isinstance(module, Attention)]
    if not modules:
        raise InputError("only a swapped attention shows its weights: swap(model, MultiHead()) first")
    with watching(modules) as maps_LBHTS:
        yield maps_LBHTS


@contextmanager
def watching(modules: Sequence[Watched]) -> Iterator[list[Tensor]]:
    """The same of the modules given."""
    maps_LBHTS: list[Tensor] = []
    for module in modules:
        module.watcher = lambda weights_BHTS: maps_LBHTS.append(weights_BHTS.detach())
    try:
        yield maps_LBHTS
    finally:
        for module in modules:
            module.watcher = None


def rollout(maps_LBHTT: list[Tensor]) -> Tensor:
    """How much of each token reaches each position through all blocks (B, T, T), rows summing to one.

    Attention rollout (Abnar and Zuidema 2020, arXiv 2005.00928): heads averaged, half of every block the residual path.
    """
    found_BTT = torch.eye(maps_LBHTT[0].shape[-1], device=maps_LBHTT[0].device).expand_as(maps_LBHTT[0][:, 0])
    for weights_BHTT in maps_LBHTT:
        mean_BTT = weights_BHTT.float().mean(1)
        half_BTT = (mean_BTT + torch.eye(mean_BTT.shape[-1], device=mean_BTT.device)) / 2
        found_BTT = half_BTT / half_BTT.sum(-1, keepdim=True) @ found_BTT
    return found_BTT


def entropy(weights_TS: Tensor) -> Tensor:
    """How much of a choice attention leaves open, in bits: 0 where it looks at one key, log₂ S where at all alike.

    The mean over queries; one that looks at nothing leaves nothing open. Weights below zero count by their size.
    Leading dimensions stay.
    """
    shares_TS = weights_TS.double().abs()
    shares_TS = shares_TS / shares_TS.sum(-1, keepdim=True).clamp(min=torch.finfo(torch.double).tiny)
    return -torch.special.xlogy(shares_TS, shares_TS).sum(-1).mean(-1) / math.log(2)


def reach(weights_TS: Tensor, apart_TS: Tensor) -> Tensor:
    """How far from itself attention looks: the mean distance of queries and keys, by weight. Leading dimensions stay.

    Pairs whose distance is NaN do not count; where no other has any weight, the mean is NaN.
    """
    shares_TS = weights_TS.double().abs() * ~apart_TS.isnan()
    return (shares_TS * apart_TS.nan_to_num(0)).sum((-1, -2)) / shares_TS.sum((-1, -2))
