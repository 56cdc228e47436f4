"""What is shown is what was computed."""

from __future__ import annotations

import copy
import math

import pytest
import tiny
import torch
from transformers import AutoModel

from finetune import InputError
from finetune.attention.maps import attention_maps, entropy, reach, rollout
from finetune.attention.swap import MultiHead, named, swap

INPUTS = {
    "input_ids": torch.arange(12).view(2, 6) + 4,
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]),
}


def model(family: str, attention: str = "eager") -> torch.nn.Module:
    torch.manual_seed(0)
    return AutoModel.from_config(copy.deepcopy(tiny.CONFIGS[family]), attn_implementation=attention).eval()


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_the_maps_are_the_weights_that_transformers_shows(family: str) -> None:
    wanted = model(family)(**INPUTS, output_attentions=True).attentions
    ours = swap(model(family), MultiHead())  # pyright: ignore
    with attention_maps(ours) as maps, torch.no_grad():
        ours(**INPUTS)
    assert len(maps) == len(wanted) == 2
    real = INPUTS["attention_mask"].bool()
    for found, stock in zip(maps, wanted, strict=True):
        assert (found - stock).transpose(1, 2)[real].abs().max() < 1e-5


def test_nobody_watches_afterwards() -> None:
    ours = swap(model("bert"), MultiHead())  # pyright: ignore
    with attention_maps(ours) as maps:
        pass
    ours(**INPUTS)
    assert maps == []


def test_rollout_of_uniform_attention_in_one_block_is_half_oneself_and_half_everybody() -> None:
    found = rollout([torch.full((1, 3, 4, 4), 0.25)])
    assert torch.allclose(found, torch.eye(4)[None] / 2 + 0.125)


def test_rollout_shares_sum_to_one_and_see_no_future() -> None:
    ours = swap(model("gpt2"), MultiHead())  # pyright: ignore
    with attention_maps(ours) as maps, torch.no_grad():
        ours(**INPUTS)
    found = rollout(maps)
    assert torch.allclose(found.sum(-1), torch.ones(2, 6))
    assert (found.triu(1) == 0).all()


def test_linear_attention_shows_the_weights_it_amounts_to() -> None:
    ours = swap(model("bert"), named("linear"))  # pyright: ignore
    with attention_maps(ours) as maps, torch.no_grad():
        ours(**INPUTS)
    assert torch.allclose(maps[0].sum(-1), torch.ones(2, 2, 6))


def test_a_stock_model_is_told_to_swap_first() -> None:
    with (
        pytest.raises(InputError, match=r"swap\(model, MultiHead\(\)\) first"),
        attention_maps(model("bert")),
    ):
        pass


def test_entropy_is_nothing_for_one_key_and_the_logarithm_of_their_number_for_all_alike() -> None:
    heads = torch.stack([torch.eye(5), torch.full((5, 5), 0.2), torch.zeros(5, 5)])
    assert entropy(heads).tolist() == pytest.approx([0.0, math.log2(5), 0.0], abs=1e-12)


def test_reach_is_the_distance_of_what_is_looked_at_and_pairs_without_one_do_not_count() -> None:
    apart = (torch.arange(4.0)[:, None] - torch.arange(4.0)).abs()
    itself, two_back = torch.eye(4), torch.eye(4).roll(-2, dims=1)
    assert reach(torch.stack([itself, two_back]), apart).tolist() == [0.0, 2.0]
    apart[:, 0] = torch.nan
    half = torch.tensor([[0.5, 0.5, 0.0, 0.0]]).expand(4, 4)
    assert float(reach(half, apart)) == pytest.approx((1 + 0 + 1 + 2) / 4)
    assert reach(half, torch.full((4, 4), torch.nan)).isnan()
