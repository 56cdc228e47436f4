"""Each mistake is one, and is told from every other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from finetune.attention.masks import EVERYTHING, Causal, Mask, Padding
from finetune.attention.mistakes import MISTAKES, Case, definition, diagnose

REAL_BS = torch.tensor([[True] * 7, [True] * 5 + [False] * 2])


def numbers(queries: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    shapes = (2, 4, queries, 8), (2, 2, 7, 8), (2, 2, 7, 8)
    q, k, v = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    return q, k, v


CASES = [
    Case(*numbers(), EVERYTHING, 8**-0.5),
    Case(*numbers(), EVERYTHING, 0.7),
    Case(*numbers(), Causal() & Padding(REAL_BS), 8**-0.5),
    Case(*numbers(3), Causal(4) & Padding(REAL_BS), 8**-0.5),
]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name: str) -> None:
    error, named = diagnose(MISTAKES[name], CASES)
    assert error > 1e-3
    assert named == f"as if {name}"


def test_what_is_right_is_no_mistake_and_what_is_wrong_in_its_own_way_is_like_none() -> None:
    assert diagnose(definition, CASES) == (0.0, "")
    for wrong in (2.0, float("nan")):
        error, named = diagnose(lambda *given, wrong=wrong: definition(*given) * wrong, CASES)
        assert not error < 1
        assert named == "like no mistake that is known"


@pytest.mark.parametrize("mask", [EVERYTHING, Causal(), Padding(REAL_BS), Causal() & Padding(REAL_BS)])
def test_the_definition_is_torchs(mask: Mask) -> None:
    q, k, v = numbers()
    allowed = mask.dense(7, 7, q.device)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=0.3, enable_gqa=True)
    assert (definition(q, k, v, mask, 0.3) - expected).abs().max() < 1e-12


def test_by_definition_a_query_that_may_look_at_nothing_gets_zeros() -> None:
    assert not definition(*numbers(), Causal(-7), 1.0).any()
