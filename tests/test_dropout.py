"""Weights are dropped by chance, in the share that was asked for, and the same ones for the same seed."""

from __future__ import annotations

import pytest
import torch

from finetune.dropout import Dropout, draw_seed, dropped, replace, stays


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_the_one_asked_for(dtype: torch.dtype, share: float) -> None:
    kept = stays(torch.empty(1000, 1001, dtype=dtype), share, (7,))
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert abs(kept.double().mean() - (1 - share)) < 5 * (share * (1 - share) / kept.numel()) ** 0.5


def test_neighbours_are_dropped_independently() -> None:
    """Four of them come from one random number: none may say anything of another."""
    kept = stays(torch.empty(4 * 200_000), 0.3, (1,)).view(-1, 4).double()
    correlations = torch.corrcoef(kept.T)[~torch.eye(4, dtype=torch.bool)]
    assert correlations.abs().max() < 5 / 200_000**0.5


def test_equal_seeds_drop_the_same_and_others_do_not() -> None:
    like = torch.empty(100, 33)
    assert torch.equal(stays(like, 0.5, (1, 2)), stays(like, 0.5, (1, 2)))
    assert not torch.equal(stays(like, 0.5, (1, 2)), stays(like, 0.5, (2, 1)))


def test_torchs_seed_decides_what_is_dropped() -> None:
    torch.manual_seed(3)
    first = draw_seed(), draw_seed()
    torch.manual_seed(3)
    assert first == (draw_seed(), draw_seed())
    assert first[0] != first[1]


def test_what_stays_is_divided_by_its_share_and_the_gradient_likewise() -> None:
    weights = torch.ones(400, 400, dtype=torch.float64, requires_grad=True)
    found = dropped(weights, 0.2)
    assert set(found.unique().tolist()) == {0.0, 1.25}
    (gradient,) = torch.autograd.grad(found.sum(), weights)
    assert torch.equal(gradient, found.detach())


def test_every_dropout_layer_of_a_model_becomes_ours_and_nothing_else_changes() -> None:
    model = torch.nn.ModuleDict({"a": torch.nn.Dropout(0.25), "b": torch.nn.Sequential(torch.nn.Dropout(0.5))})
    model["c"] = torch.nn.Dropout2d(0.5)
    replace(model.eval())
    assert repr(model["a"]) == "Dropout(p=0.25, inplace=False)"
    assert [type(module) for module in (model["a"], model["b"][0])] == [Dropout, Dropout]  # pyright: ignore
    assert type(model["c"]) is torch.nn.Dropout2d
    assert not any(module.training for module in model.modules())


def test_the_layer_drops_while_training_and_only_then() -> None:
    layer, x = Dropout(0.5), torch.ones(100, 100)
    assert set(layer(x).unique().tolist()) == {0.0, 2.0}
    assert torch.equal(layer.eval()(x), x)
