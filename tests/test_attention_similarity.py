"""Neighbours alike, far ones not: what positions look like to an attention."""

from __future__ import annotations

import pytest
import torch

from finetune.attention.positions.rotary import Rotary
from finetune.attention.positions.sinusoidal import Sinusoidal
from finetune.attention.similarity import by_distance, cosines, line, plane, rotary


@pytest.mark.parametrize("width", [64, 384])
def test_sinusoidal_neighbours_are_alike_and_far_ones_are_not(width: int) -> None:
    similar = cosines(Sinusoidal().encode(513, width, 0, {}, torch.device("cpu")))
    fall = by_distance(similar, line(513))
    at = [float(fall[distance - 1]) for distance in (1, 2, 4, 16, 64, 256)]
    assert at == sorted(at, reverse=True)
    assert at[0] > 0.95
    assert at[-1] < 0.4


def test_the_similarity_of_sinusoidal_positions_depends_on_their_distance_alone() -> None:
    similar = cosines(Sinusoidal().encode(40, 32, 0, {}, torch.device("cpu")))
    for distance in (1, 7):
        assert similar.diagonal(distance).std() < 1e-6


def test_a_constant_vector_turned_is_as_alike_as_the_mean_cosine_of_the_angles_says() -> None:
    width, base = 16, 10_000.0
    steps = 1 / base ** (torch.arange(0, width, 2) / width)
    angles = torch.arange(9.0)[:, None] * steps
    both = torch.cat([angles, angles], dim=-1)
    found = rotary(both.cos(), both.sin())
    wanted = ((torch.arange(9.0)[:, None, None] - torch.arange(9.0)[:, None]) * steps).cos().mean(-1)
    assert (found - wanted).abs().max() < 1e-6
    ours = Rotary(base=base).rotate(torch.ones(1, 1, 9, width), 0)[0, 0]
    assert (found - cosines(ours)).abs().max() < 1e-6


def test_patches_of_a_plane_are_apart_as_the_crow_flies() -> None:
    apart = plane(3, 4)
    assert apart.shape == (12, 12)
    assert float(apart[0, 1]) == 1  # the next in the row
    assert float(apart[0, 4]) == 1  # the one below
    assert float(apart[0, 5]) == pytest.approx(2**0.5)


def test_a_fall_is_the_mean_of_all_pairs_that_far_apart() -> None:
    apart = line(4)
    assert by_distance(10.0 - apart, apart).tolist() == [9.0, 8.0, 7.0]


def test_a_vector_without_length_is_like_nothing() -> None:
    similar = cosines(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    assert similar.tolist() == [[0.0, 0.0], [0.0, 1.0]]
