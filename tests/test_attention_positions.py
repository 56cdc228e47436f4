"""Where things stand: positions against the formulas they are known by, and against transformers' own code.

B batch, H heads, T queries, S keys, D head width, E model width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, T5Config
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb
from transformers.models.t5.modeling_t5 import T5Attention

from finetune import InputError, axes
from finetune.attention import positions
from finetune.attention.cores import products
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.multihead import placed
from finetune.attention.positions import Position
from finetune.attention.positions.alibi import Alibi, slopes
from finetune.attention.positions.learned import LearnedPositions
from finetune.attention.positions.rotary import Rotary
from finetune.attention.positions.sinusoidal import Sinusoidal
from finetune.attention.positions.t5_bias import T5Bias

CPU = torch.device("cpu")
EVERY = axes.every(positions, Position)
each_position = pytest.mark.parametrize("position", [kind() for kind in EVERY], ids=[kind.__name__ for kind in EVERY])


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def trained(position: Position, width: int, heads: int) -> Mapping[str, Tensor]:
    return {name: noise(*value.shape) for name, value in position.learned(width, heads).items()}


@each_position
def test_behind_a_cache_positions_go_on_where_it_ends(position: Position) -> None:
    learned, x_BHTD = trained(position, 16, 3), noise(2, 3, 9, 8)
    whole, part = position.encode(9, 16, 0, learned, CPU), position.encode(4, 16, 5, learned, CPU)
    if whole is not None and part is not None:
        torch.testing.assert_close(part, whole[5:])
    torch.testing.assert_close(position.rotate(x_BHTD[:, :, 5:], 5), position.rotate(x_BHTD, 0)[:, :, 5:])
    whole_HTS = position.bias(torch.arange(9), torch.arange(9), 3, learned)
    part_HTS = position.bias(torch.arange(5, 9), torch.arange(2, 7), 3, learned)
    if whole_HTS is not None and part_HTS is not None:
        torch.testing.assert_close(part_HTS, whole_HTS[:, 5:, 2:7])


@each_position
def test_a_position_tells_in_exactly_one_place(position: Position) -> None:
    learned, x_BHTD = trained(position, 16, 3), noise(2, 3, 9, 8)
    places = (
        position.encode(9, 16, 0, learned, CPU) is not None,
        not torch.equal(position.rotate(x_BHTD, 0), x_BHTD),
        position.bias(torch.arange(9), torch.arange(9), 3, learned) is not None,
    )
    assert sum(places) == 1


@each_position
def test_a_position_is_made_on_the_device_it_is_for(position: Position) -> None:
    """Asked of a device that computes nothing, and refuses what is from elsewhere."""
    meta = torch.device("meta")
    learned = {name: value.to(meta) for name, value in position.learned(16, 3).items()}
    x_BTE, x_BHTD = noise(2, 9, 16).to(meta), noise(2, 3, 9, 8).to(meta)
    encoded_TE = position.encode(9, 16, 0, learned, meta)
    bias_HTS = position.bias(torch.arange(9, device=meta), torch.arange(9, device=meta), 3, learned)
    assert all(each is None or each.device == meta for each in (encoded_TE, bias_HTS))
    assert position.rotate(x_BHTD, 0).device == placed(ScaledDotProduct(position=position), x_BTE, 0, learned).device


@pytest.mark.parametrize("position", [LearnedPositions(), T5Bias(), T5Bias(causal=True)], ids=repr)
def test_what_is_learned_begins_as_no_position_at_all_and_gets_a_gradient(position: Position) -> None:
    learned = {name: value.requires_grad_() for name, value in position.learned(16, 3).items()}
    encoded, bias = position.encode(9, 16, 0, learned, CPU), position.bias(torch.arange(9), torch.arange(9), 3, learned)
    found = next(each for each in (encoded, bias) if each is not None)
    assert not found.any()
    found.sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in learned.values())


# sinusoidal


@pytest.mark.parametrize("width", [6, 7])
def test_sinusoidal_is_the_papers_formula(width: int) -> None:
    found_TE = Sinusoidal().encode(12, width, 3, {}, CPU)
    assert found_TE.shape == (12, width)
    for row, t in enumerate(range(3, 15)):
        for column in range(width):
            angle = t / 10_000 ** (2 * (column // 2) / width)
            expected = math.cos(angle) if column % 2 else math.sin(angle)
            assert found_TE[row, column].item() == pytest.approx(expected, abs=1e-5)


def test_sinusoidal_neighbours_are_more_alike_than_far_positions() -> None:
    found_TE = Sinusoidal().encode(64, 128, 0, {}, CPU)
    likeness = found_TE @ found_TE.mT
    assert torch.allclose(likeness.diagonal(), torch.tensor(64.0), atol=1e-3)
    near, middle, far = (likeness.diagonal(step) for step in (1, 8, 48))
    assert near.min() > middle.max()
    assert middle.min() > far.max()


# learned


def test_learned_positions_are_rows_of_their_table_and_no_more_than_it_has() -> None:
    table = {"positions": noise(10, 4)}
    assert torch.equal(LearnedPositions(length=10).encode(3, 4, 7, table, CPU), table["positions"][7:])
    with pytest.raises(InputError, match="position.length is 10, too few for 11 positions"):
        LearnedPositions(length=10).encode(4, 4, 7, table, CPU)


# rotary


def test_rotary_is_llamas() -> None:
    config = LlamaConfig(
        hidden_size=64, num_attention_heads=4, rope_parameters={"rope_type": "default", "rope_theta": 500.0}
    )
    q_BHTD, k_BHTD = noise(2, 4, 9, 16), noise(2, 4, 9, 16)
    cos, sin = LlamaRotaryEmbedding(config)(q_BHTD, torch.arange(5, 14)[None])
    for plain, expected in zip((q_BHTD, k_BHTD), apply_rotary_pos_emb(q_BHTD, k_BHTD, cos, sin), strict=True):
        torch.testing.assert_close(Rotary(base=500.0).rotate(plain, 5), expected)


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    q, k = noise(1, 2, 1, 16), noise(1, 2, 1, 16) + 1
    score = {(t, s): products(Rotary().rotate(q, t), Rotary().rotate(k, s)) for t in (0, 3, 40) for s in (5, 8, 45)}
    torch.testing.assert_close(score[0, 5], score[3, 8], atol=1e-4, rtol=0)
    torch.testing.assert_close(score[0, 5], score[40, 45], atol=1e-4, rtol=0)
    assert not torch.allclose(score[0, 5], score[0, 8], atol=1e-2)


def test_rotary_turns_and_does_not_stretch() -> None:
    x_BHTD = noise(2, 3, 50, 16)
    torch.testing.assert_close(Rotary().rotate(x_BHTD, 9).norm(dim=-1), x_BHTD.norm(dim=-1))


def test_rotary_keeps_bfloat16() -> None:
    assert Rotary().rotate(noise(1, 1, 3, 8).bfloat16(), 0).dtype == torch.bfloat16


# T5


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("buckets", "distance"), [(32, 128), (16, 64), (8, 20)])
def test_t5_buckets_are_t5s(causal: bool, buckets: int, distance: int) -> None:
    ahead = torch.arange(-300, 301)[None]
    expected = T5Attention._relative_position_bucket(ahead, not causal, buckets, distance)
    assert torch.equal(T5Bias(buckets=buckets, distance=distance, causal=causal).bucket(ahead), expected)


def test_t5_bias_with_t5s_table_is_t5s_bias() -> None:
    stock = T5Attention(T5Config(d_model=16, num_heads=4, d_kv=4), has_relative_attention_bias=True)
    table = {"buckets": stock.relative_attention_bias.weight}
    found_HTS = T5Bias().bias(torch.arange(40), torch.arange(40), 4, table)
    assert torch.equal(found_HTS, stock.compute_bias(40, 40)[0])


def test_t5_tells_before_from_behind_and_causal_t5_does_not_care_for_what_is_ahead() -> None:
    steps = torch.arange(-9, 10)
    two, one = T5Bias().bucket(steps), T5Bias(causal=True).bucket(steps)
    assert len(set(two.tolist())) == 17  # 0 … 8 and beyond, behind; 1 … 8 and beyond, ahead
    assert one[steps >= 0].eq(0).all()
    assert one[steps <= 0].unique().numel() == 10


# ALiBi


def test_alibi_slopes_of_8_heads_are_the_papers() -> None:
    assert slopes(8, CPU).tolist() == [2.0**-step for step in range(1, 9)]
    torch.testing.assert_close(slopes(16, CPU), torch.tensor([2 ** (-step / 2) for step in range(1, 17)]))


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 6, 8, 12, 14, 16, 20])
def test_alibi_slopes_are_blooms_whatever_the_number_of_heads(heads: int) -> None:
    bloom = build_alibi_tensor(torch.ones(1, 2), heads, torch.float32)[:, 0, 1]
    torch.testing.assert_close(slopes(heads, CPU), bloom)


def test_alibi_falls_with_the_distance_on_both_sides() -> None:
    found_HTS = Alibi().bias(torch.arange(3, 5), torch.arange(7), 2, {})
    expected = torch.tensor([[3.0, 2, 1, 0, 1, 2, 3], [4, 3, 2, 1, 0, 1, 2]])
    torch.testing.assert_close(found_HTS, -torch.stack([expected / 16, expected / 256]))


# in a core


@pytest.mark.parametrize("position", [LearnedPositions(), T5Bias(), None], ids=repr)
def test_a_core_learns_what_its_position_learns(position: Position | None) -> None:
    found = replace(ScaledDotProduct(), position=position).learned(16, 4, 4)
    expected = {} if position is None else position.learned(16, 4)
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in expected.items()
    }


def test_a_core_adds_the_bias_in_the_format_of_its_queries() -> None:
    q_BHTD, kv_BHSD = noise(1, 4, 3, 8).bfloat16(), noise(1, 4, 5, 8).bfloat16()
    context, weights = ScaledDotProduct(position=Alibi())(q_BHTD, kv_BHSD, kv_BHSD, need_weights=True)
    assert weights is not None
    assert (context.dtype, weights.dtype) == (torch.bfloat16, torch.bfloat16)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LearnedPositions(length=0), "position.length must be at least 1, got 0"),
        (lambda: T5Bias(buckets=3), "position.buckets must be at least 4, got 3"),
        (lambda: T5Bias(buckets=1, causal=True), "position.buckets must be at least 2, got 1"),
        (lambda: T5Bias(distance=8), "position.distance must be more than 8, got 8"),
        (lambda: Rotary().rotate(torch.zeros(1, 1, 2, 5), 0), "a head width of 5 is odd"),
    ],
)
def test_a_position_that_makes_no_sense_is_refused(make: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()  # pyright: ignore[reportCallIssue]
