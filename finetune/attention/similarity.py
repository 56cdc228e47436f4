"""How alike positions look to an attention: neighbours should be alike, and far ones not.

N positions, E model width, D coordinates that are turned, R and C rows and columns of a plane, K distances.
"""

from __future__ import annotations

import torch
from torch import Tensor

from finetune.attention.positions.rotary import turn


def cosines(vectors_NE: Tensor) -> Tensor:
    """The cosine of the angle between every two vectors (N, N), in float32; of one without length it is 0."""
    unit_NE = torch.nn.functional.normalize(vectors_NE.detach().double(), dim=-1)
    return (unit_NE @ unit_NE.T).float()


def rotary(cos_ND: Tensor, sin_ND: Tensor) -> Tensor:
    """How alike a constant vector is to itself, turned to every two positions (N, N).

    That is the mean cosine of the angles between them: what positions alone do to a score of RoPE (Su and others 2021,
    arXiv 2104.09864, section 3.4.3).
    """
    return cosines(turn(torch.ones_like(cos_ND), cos_ND, sin_ND))


def line(length: int) -> Tensor:
    """How far apart every two positions of a text are (N, N)."""
    places_N = torch.arange(length, dtype=torch.float32)
    return (places_N[:, None] - places_N).abs()


def plane(rows: int, columns: int) -> Tensor:
    """How far apart every two patches of an image are (R · C, R · C), row by row; the side of a patch is 1."""
    places_N2 = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    return torch.cdist(places_N2, places_N2)


def by_distance(similar_NN: Tensor, apart_NN: Tensor) -> Tensor:
    """The mean similarity of positions that are 1, 2, 3, … apart (K), distances rounded to whole ones."""
    whole_M = apart_NN.round().long().flatten()
    sums_K = torch.bincount(whole_M, similar_NN.flatten().double())
    return (sums_K / torch.bincount(whole_M)).float()[1:]
