"""What every core owes — masks, shapes, gradients — and each core against its formula, written out as a loop.

B batch, H heads of queries, K heads of keys and values, T queries, S keys, D head width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from finetune import InputError, axes
from finetune.attention import cores
from finetune.attention.cores import Core
from finetune.attention.cores.alibi import AlibiAttention
from finetune.attention.cores.differential import Differential
from finetune.attention.cores.linear import Linear
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.cores.sigmoid import Sigmoid
from finetune.attention.cores.single_head import SingleHead
from finetune.attention.cores.sliding_window import SlidingWindow
from finetune.attention.cores.softmax_one import SoftmaxOne
from finetune.attention.cores.talking_heads import TalkingHeads
from finetune.attention.cores.top_k import TopK
from finetune.attention.cores.uniform import Uniform
from finetune.attention.cores.unscaled import Unscaled
from finetune.attention.masks import EVERYTHING, Causal, Dense, Mask, Padding, Window
from finetune.attention.positions.alibi import Alibi
from finetune.attention.positions.rotary import Rotary
from finetune.attention.positions.t5_bias import T5Bias

EVERY = axes.every(cores, Core)
CORES = [*(kind() for kind in EVERY), SlidingWindow(width=2), TopK(k=2), ScaledDotProduct(position=T5Bias())]
each_core = pytest.mark.parametrize("core", CORES, ids=repr)
BATCH, HEADS, SHARED, QUERIES, KEYS, WIDTH = 2, 4, 2, 5, 8, 8
OFFSET = KEYS - QUERIES
REAL_BS = torch.tensor([[True] * 6 + [False] * 2, [False, True, True, True, True, False, False, True]])


def inputs(
    queries: int = QUERIES,
    keys: int = KEYS,
    shared: int = SHARED,
    *,
    batch: int = BATCH,
    heads: int = HEADS,
    width: int = WIDTH,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(queries)
    shapes = (batch, heads, queries, width), (batch, shared, keys, width), (batch, shared, keys, width)
    q, k, v = (torch.randn(*shape, generator=draw, dtype=dtype) for shape in shapes)
    return q, k, v


def trained(core: Core, heads: int = HEADS, width: int = WIDTH) -> dict[str, Tensor]:
    """What a core has learned after a while: not what it begins with."""
    draw = torch.Generator().manual_seed(1)
    first = core.learned(heads * width, heads, width)
    return {name: value + 0.3 * torch.randn(*value.shape, generator=draw) for name, value in first.items()}


def attend(core: Core, q: Tensor, k: Tensor, v: Tensor, mask: Mask = EVERYTHING, scale: float | None = None) -> Tensor:
    return core(q, k, v, mask, scale=scale, learned=trained(core))[0]


def same(found: Tensor, expected: Tensor, within: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, atol=within, rtol=within)


# what every core owes


@each_core
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("mask", [EVERYTHING, Padding(REAL_BS), Causal(OFFSET), Causal(OFFSET) & Padding(REAL_BS)])
def test_contexts_are_as_many_as_queries_finite_and_in_their_format(core: Core, dtype: torch.dtype, mask: Mask) -> None:
    q, k, v = inputs(dtype=dtype)
    context, weights = core(q, k, v, mask, learned=trained(core), need_weights=True)
    assert (context.shape, context.dtype) == (q.shape, dtype)
    assert context.isfinite().all()
    assert weights is not None
    assert (weights.shape, weights.dtype) == ((BATCH, HEADS, QUERIES, KEYS), dtype)


@each_core
def test_bfloat16_is_float32_rounded(core: Core) -> None:
    # scores apart enough that rounding moves no key across the edge of the k best
    q, k, v = (x.bfloat16() for x in inputs())
    mask = Causal(OFFSET) & Padding(REAL_BS)
    same(attend(core, q, k, v, mask).float(), attend(core, q.float(), k.float(), v.float(), mask), within=0.05)


@each_core
def test_masked_keys_have_no_influence(core: Core) -> None:
    q, k, v = inputs()
    hidden = ~REAL_BS[:, None, :, None]
    before = attend(core, q, k, v, Padding(REAL_BS))
    changed = attend(core, q, k + 50 * hidden, v - 1000 * hidden, Padding(REAL_BS))
    assert torch.equal(before, changed)


@each_core
@pytest.mark.parametrize("queries", [KEYS, QUERIES, 1])
def test_the_future_has_no_influence_and_the_present_has(core: Core, queries: int) -> None:
    q, k, v = inputs(queries)
    offset = KEYS - queries
    before = attend(core, q, k, v, Causal(offset))
    for key in range(offset, KEYS):
        now = torch.zeros(KEYS, 1).index_fill(0, torch.tensor(key), 1.0)
        after = attend(core, q, k + now, v + 10 * now, Causal(offset))
        assert torch.equal(after[:, :, : key - offset], before[:, :, : key - offset])
        assert not torch.allclose(after[:, :, key - offset], before[:, :, key - offset])


@each_core
def test_reading_one_token_at_a_time_with_a_cache_is_reading_all_at_once(core: Core) -> None:
    q, k, v = inputs(KEYS)
    whole = attend(core, q, k, v, Causal())
    for t in range(KEYS):
        same(attend(core, q[:, :, t : t + 1], k[:, :, : t + 1], v[:, :, : t + 1], Causal(t)), whole[:, :, t : t + 1])


@each_core
@pytest.mark.parametrize("causal", [False, True])
def test_padding_a_text_changes_nothing_for_its_tokens(core: Core, causal: bool) -> None:
    q, k, v = inputs(12, 12)
    mask = Causal() if causal else EVERYTHING
    real_BS = (torch.arange(12) < 6).expand(BATCH, 12)
    alone = attend(core, q[:, :, :6], k[:, :, :6], v[:, :, :6], mask)
    same(attend(core, q, k, v, mask & Padding(real_BS))[:, :, :6], alone)


@each_core
@pytest.mark.parametrize(
    "mask", [Padding(REAL_BS & torch.tensor([[True], [False]])), Causal(-1)], ids=["text", "start"]
)
def test_a_query_that_may_look_at_nothing_gets_zeros_and_gradients_stay_finite(core: Core, mask: Mask) -> None:
    q, k, v = inputs(KEYS)
    tensors = [x.requires_grad_() for x in (q, k, v)]
    learned = {name: value.requires_grad_() for name, value in trained(core).items()}
    context, weights = core(q, k, v, mask, learned=learned, need_weights=True)
    allowed = core.restrict(mask, 0).dense(KEYS, KEYS, q.device)
    assert allowed is not None
    dead = ~allowed.any(-1).expand(BATCH, HEADS, KEYS)
    assert dead.any()
    assert not dead.all()
    assert weights is not None
    assert not context[dead].any()
    assert not weights[dead].any()
    assert context[~dead].any(-1).all()
    context.square().sum().backward()
    assert all(x.grad is None or x.grad.isfinite().all() for x in (*tensors, *learned.values()))


@each_core
def test_where_nobody_may_look_at_anything_all_is_zero(core: Core) -> None:
    assert not attend(core, *inputs(), Causal(-QUERIES)).any()


@each_core
def test_the_weights_shown_are_those_that_mixed_the_values(core: Core) -> None:
    q, k, v = inputs()
    mask = Causal(OFFSET) & Padding(REAL_BS)
    context, weights = core(q, k, v, mask, learned=trained(core), need_weights=True)
    unseen, none = core(q, k, v, mask, learned=trained(core))
    assert weights is not None
    assert none is None
    same(context, unseen)  # there are faster ways where nobody looks
    same(context, weights @ v.repeat_interleave(HEADS // SHARED, 1))
    allowed = mask.dense(QUERIES, KEYS, q.device)
    assert allowed is not None
    assert not weights.masked_select(~allowed).any()


@each_core
def test_shared_keys_are_repeated_keys(core: Core) -> None:
    q, k, v = inputs()
    for mask in (Padding(REAL_BS), Causal(OFFSET)):
        many_k, many_v = (x.repeat_interleave(HEADS // SHARED, 1) for x in (k, v))
        same(attend(core, q, k, v, mask), attend(core, q, many_k, many_v, mask))


@each_core
def test_the_scale_that_is_left_out_is_one_over_the_root_of_the_head_width(core: Core) -> None:
    q, k, v = inputs()
    same(attend(core, q, k, v), attend(core, q, k, v, scale=WIDTH**-0.5))


@each_core
def test_values_may_be_of_another_width_than_keys(core: Core) -> None:
    q, k, v = inputs()
    same(attend(core, q, k, v[..., :3]), attend(core, q, k, v)[..., :3])


@each_core
def test_texts_of_a_batch_do_not_see_each_other(core: Core) -> None:
    q, k, v = inputs()
    same(attend(core, q[:1], k[:1], v[:1]), attend(core, q, k, v)[:1])


@each_core
@pytest.mark.parametrize("mask", [EVERYTHING, Causal(1) & Padding(torch.tensor([[True, True, False, True]]))])
def test_gradients_are_the_slopes(core: Core, mask: Mask) -> None:
    q, k, v = (x.requires_grad_() for x in inputs(3, 4, 1, batch=1, heads=2, width=4, dtype=torch.float64))
    learned = {name: value.double().requires_grad_() for name, value in trained(core, 2, 4).items()}

    def context(q: Tensor, k: Tensor, v: Tensor, *learned_values: Tensor) -> Tensor:
        return core(q, k, v, mask, learned=dict(zip(learned, learned_values, strict=True)))[0]

    assert torch.autograd.gradcheck(context, (q, k, v, *learned.values()))


@each_core
def test_what_does_not_fit_together_is_refused(core: Core) -> None:
    q, k, v = inputs()
    with pytest.raises(InputError, match="differ in batch"):
        attend(core, q[:1], k, v)
    with pytest.raises(InputError, match="differ in batch"):
        attend(core, q[..., 1:], k, v)
    with pytest.raises(InputError, match="each key has one value"):
        attend(core, q, k, v[:, :, 1:])
    with pytest.raises(InputError, match=r"4 dimensions, batch, heads, length, width; got \(4, 5, 8\), \(2, 2, 8, 8\)"):
        attend(core, q[0], k, v)
    with pytest.raises(InputError, match="3 heads of queries cannot share 2 heads of keys: it must divide them"):
        attend(core, q[:, :3], k, v)


@pytest.mark.parametrize("core", [core for core in CORES if not isinstance(core, SlidingWindow)], ids=repr)
def test_a_mask_of_another_size_is_refused(core: Core) -> None:
    with pytest.raises(InputError, match=r"a mask of \(2, 1, 1, 7\) does not fit scores of"):
        attend(core, *inputs(), Padding(REAL_BS[:, 1:]))


# each core is its formula

Weigh = Callable[["Case"], Tensor]


@dataclass(frozen=True)
class Case:
    """One query of one head, and the keys it may look at (n of them)."""

    q_D: Tensor
    k_nD: Tensor
    away_n: Tensor  # positions between them
    head: int
    learned: Mapping[str, Tensor]

    @property
    def scores_n(self) -> Tensor:
        return self.k_nD @ self.q_D / math.sqrt(self.q_D.shape[0])


def normed(x_n: Tensor) -> Tensor:
    return x_n / x_n.sum()


def phi(x: Tensor) -> Tensor:
    return torch.nn.functional.elu(x / WIDTH**0.25) + 1


def differential(case: Case) -> Tensor:
    halves = [normed((case.k_nD[:, half::2] @ case.q_D[half::2] / math.sqrt(WIDTH / 2)).exp()) for half in range(2)]
    return halves[0] - case.learned["share"][case.head] * halves[1]


def top_2(case: Case) -> Tensor:
    best = sorted(case.scores_n.tolist(), reverse=True)[:2]
    return normed(torch.tensor([math.exp(score) if score in best else 0.0 for score in case.scores_n.tolist()]))


# those whose weights for one query and head need nothing but that query and its keys
FORMULAS: list[tuple[Core, Weigh]] = [
    (ScaledDotProduct(), lambda case: normed(case.scores_n.exp())),
    (Unscaled(), lambda case: normed((case.k_nD @ case.q_D).exp())),
    (Uniform(), lambda case: normed(torch.ones(len(case.k_nD)))),
    (SlidingWindow(width=3), lambda case: normed(case.scores_n.exp() * (case.away_n.abs() < 3))),
    (TopK(k=2), top_2),
    (Linear(), lambda case: normed(phi(case.k_nD) @ phi(case.q_D))),
    (SoftmaxOne(), lambda case: case.scores_n.exp() / (1 + case.scores_n.exp().sum())),
    (Sigmoid(), lambda case: 1 / (1 + (-case.scores_n + math.log(len(case.k_nD))).exp())),
    (AlibiAttention(), lambda case: normed((case.scores_n - case.away_n.abs() / 4 ** (case.head + 1)).exp())),
    (Differential(), differential),
]


@pytest.mark.parametrize(("core", "weigh"), FORMULAS, ids=[type(core).__name__ for core, _ in FORMULAS])
@pytest.mark.parametrize("mask", [EVERYTHING, Causal(OFFSET) & Padding(REAL_BS)], ids=["all", "some"])
def test_a_core_is_its_formula(core: Core, weigh: Weigh, mask: Mask) -> None:
    q, k, v = inputs()
    learned, found = trained(core), attend(core, q, k, v, mask)
    allowed = torch.as_tensor(mask.block(slice(0, QUERIES), slice(0, KEYS), q.device))
    for b, h, t in torch.cartesian_prod(*(torch.arange(n) for n in q.shape[:3])).tolist():
        keys = allowed.expand(BATCH, HEADS, QUERIES, KEYS)[b, h, t].nonzero()[:, 0]
        shared = h // (HEADS // SHARED)
        expected = torch.zeros(WIDTH)
        if len(keys):
            weights = weigh(Case(q[b, h, t], k[b, shared, keys], keys - t - OFFSET, h, learned))
            expected = weights @ v[b, shared, keys]
        same(found[b, h, t], expected)


def test_no_core_is_without_a_formula() -> None:
    assert {type(core) for core, _ in FORMULAS} | {SingleHead, TalkingHeads} == set(EVERY)


def test_a_single_head_adds_up_the_scores_of_all_heads() -> None:
    q, k, v = inputs(shared=HEADS)
    found, weights = SingleHead()(q, k, v, scale=0.7, need_weights=True)
    assert weights is not None
    for b in range(BATCH):
        for t in range(QUERIES):
            scores_S = sum((k[b, h] @ q[b, h, t] for h in range(HEADS)), torch.zeros(KEYS)) * 0.7 / math.sqrt(HEADS)
            for h in range(HEADS):
                same(weights[b, h, t], normed(scores_S.exp()))
                same(found[b, h, t], normed(scores_S.exp()) @ v[b, h])


def test_a_single_head_has_one_bias() -> None:
    core = SingleHead(position=T5Bias())
    assert core.learned(32, HEADS, WIDTH)["buckets"].shape == (32, 1)
    _, weights = core(*inputs(), learned=trained(core), need_weights=True)
    assert weights is not None
    assert torch.equal(weights, weights[:, :1].expand_as(weights))


def test_talking_heads_mix_scores_and_then_weights() -> None:
    q, k, v = inputs(shared=HEADS)
    learned = trained(TalkingHeads())
    found = attend(TalkingHeads(), q, k, v, Causal(OFFSET))
    for b in range(BATCH):
        for t in range(QUERIES):
            keys = t + OFFSET + 1
            scores = [k[b, h, :keys] @ q[b, h, t] / math.sqrt(WIDTH) for h in range(HEADS)]
            mixed = [sum(learned["before"][h, g] * scores[h] for h in range(HEADS)) for g in range(HEADS)]
            weights = [normed(torch.as_tensor(each).exp()) for each in mixed]
            for h in range(HEADS):
                own = sum((learned["after"][g, h] * weights[g] for g in range(HEADS)), torch.zeros(keys))
                same(found[b, h, t], own @ v[b, h, :keys])


def test_talking_heads_hand_no_head_a_key_that_it_may_not_use() -> None:
    allowed_BHTS = torch.rand(BATCH, HEADS, QUERIES, KEYS, generator=torch.Generator().manual_seed(0)) < 0.5
    allowed_BHTS[0, 1] = False
    _, weights = TalkingHeads()(*inputs(), Dense(allowed_BHTS), learned=trained(TalkingHeads()), need_weights=True)
    assert weights is not None
    assert not weights[~allowed_BHTS].any()


# what a variant is where it should make no difference


@pytest.mark.parametrize(
    "core",
    [
        SlidingWindow(width=KEYS),
        TopK(k=KEYS),
        TopK(k=KEYS + 1),
        TalkingHeads(),
        Differential(initial=0.0),
        ScaledDotProduct(position=T5Bias()),
    ],
    ids=repr,
)
@pytest.mark.parametrize("mask", [EVERYTHING, Causal(OFFSET) & Padding(REAL_BS)], ids=["all", "some"])
def test_before_it_learns_or_narrows_anything_a_variant_is_plain_attention(core: Core, mask: Mask) -> None:
    q, k, v = inputs()
    if isinstance(core, Differential):
        # with nothing subtracted, one half of the head is left
        q, k = (x.unflatten(-1, (-1, 2)) * torch.tensor([1.0, 0.0]) for x in (q, k))
        q, k = q.flatten(-2) * math.sqrt(2), k.flatten(-2)
        plain = ScaledDotProduct()(q, k, v, mask)[0]
        same(core(q / math.sqrt(2), k, v, mask, learned=core.learned(32, HEADS, WIDTH))[0], plain)
        return
    same(core(q, k, v, mask, learned=core.learned(32, HEADS, WIDTH))[0], ScaledDotProduct()(q, k, v, mask)[0])


def test_unscaled_is_plain_attention_with_a_scale_of_one_whatever_the_models() -> None:
    q, k, v = inputs()
    same(Unscaled()(q, k, v, scale=0.1)[0], ScaledDotProduct()(q, k, v, scale=1.0)[0])


def test_uniform_is_the_mean_of_the_values_allowed() -> None:
    q, k, v = inputs()
    found = Uniform()(q, k, v, Padding(REAL_BS))[0]
    for b in range(BATCH):
        for h in range(HEADS):
            same(found[b, h], v[b, h // 2, REAL_BS[b]].mean(0).expand(QUERIES, WIDTH))


def test_the_best_key_alone_is_the_value_of_the_best_key() -> None:
    q, k, v = inputs(shared=HEADS)
    best = (q @ k.mT).argmax(-1, keepdim=True).expand(-1, -1, -1, WIDTH)
    same(TopK(k=1)(q, k, v)[0], v.gather(2, best))


def test_top_k_keeps_all_keys_that_tie_with_the_last_one_kept() -> None:
    q, v = torch.ones(1, 1, 1, 1), torch.arange(4.0).view(1, 1, 4, 1)
    k = torch.tensor([2.0, 1.0, 1.0, 0.0]).view(1, 1, 4, 1)
    _, weights = TopK(k=2)(q, k, v, need_weights=True)
    assert weights is not None
    assert weights.flatten().gt(0).tolist() == [True, True, True, False]


def test_a_window_cuts_off_what_is_far() -> None:
    q, k, v = inputs(KEYS)
    far = torch.zeros(KEYS, 1).index_fill(0, torch.tensor(7), 5.0)
    before, after = (attend(SlidingWindow(width=3), q, each, v) for each in (k, k + far))
    assert (before != after).any(-1).any(1).any(0).tolist() == [False] * 5 + [True] * 3


@pytest.mark.parametrize("score", [-200.0, 0.0, 200.0])
def test_softmax_one_is_stable_and_may_weigh_nothing(score: float) -> None:
    q, k, v = torch.ones(1, 1, 1, 1), torch.full((1, 1, 3, 1), score), torch.ones(1, 1, 3, 1)
    assert SoftmaxOne()(q, k, v)[0].item() == pytest.approx({-200.0: 0.0, 0.0: 0.75, 200.0: 1.0}[score])


def test_sigmoid_weights_sum_to_about_one_where_scores_are_flat() -> None:
    v = torch.ones(1, 1, 500, 4)
    assert Sigmoid()(torch.zeros(1, 1, 1, 4), v, v)[0].flatten().tolist() == pytest.approx([1.0] * 4, abs=0.01)


def test_alibi_attention_is_plain_attention_with_alibi() -> None:
    q, k, v = inputs()
    assert torch.equal(AlibiAttention()(q, k, v)[0], ScaledDotProduct(position=Alibi())(q, k, v)[0])


def test_differential_halves_leave_rotary_pairs_whole() -> None:
    q, k, v = inputs(KEYS)
    turned = ((Rotary().rotate(q, offset), Rotary().rotate(k, offset)) for offset in (0, 30))
    here, there = (attend(Differential(), q, k, v, Causal()) for q, k in turned)
    same(here, there, within=1e-4)


def test_differential_needs_heads_that_can_be_halved() -> None:
    with pytest.raises(InputError, match="a head width of 7 is odd"):
        attend(Differential(), *inputs(width=7))


# linear attention goes another way to what it computes


@pytest.mark.parametrize("offset", [-400, -150, -3, 0, 1, 63, 64, 65, 130, 199, 200, 999])
@pytest.mark.parametrize(("queries", "keys"), [(150, 200), (200, 150), (64, 128), (1, 200)])
def test_linear_attention_in_chunks_is_linear_attention_at_once(queries: int, keys: int, offset: int) -> None:
    q, k, v = inputs(queries, keys, dtype=torch.float64)
    real_BS = torch.rand(BATCH, keys, generator=torch.Generator().manual_seed(0)) < 0.7
    mask = Causal(offset) & Padding(real_BS)
    features_q, features_k = (torch.nn.functional.elu(x * WIDTH**-0.25) + 1 for x in (q, k.repeat_interleave(2, 1)))
    allowed = torch.as_tensor(mask.block(slice(0, queries), slice(0, keys), q.device))
    weights = (features_q @ features_k.mT) * allowed
    weights = (weights / weights.sum(-1, keepdim=True)).nan_to_num(0.0)
    found, shown = Linear()(q, k, v, mask, need_weights=True)
    assert shown is not None
    same(found, weights @ v.repeat_interleave(2, 1), within=1e-9)
    same(shown, weights, within=1e-9)


def test_linear_attention_never_holds_all_scores() -> None:
    length = 1024
    q, k, v = (x.requires_grad_() for x in inputs(length, length, HEADS))
    largest = 0

    def held(x: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, x.numel())
        return x

    for mask in (EVERYTHING, Causal(), Causal() & Padding(torch.ones(BATCH, length))):
        with torch.autograd.graph.saved_tensors_hooks(held, held):
            Linear()(q, k, v, mask)
    assert 0 < largest <= BATCH * HEADS * length * 100


def test_linear_attention_takes_the_narrowest_of_several_masks() -> None:
    q, k, v = inputs()
    one, other = REAL_BS, REAL_BS.flip(0)
    both = Causal(OFFSET) & Padding(one) & (Causal(1) & Padding(other))
    assert torch.equal(Linear()(q, k, v, both)[0], Linear()(q, k, v, Causal(1) & Padding(one & other))[0])


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (Window(2), "Window"),
        (Causal() & Dense(torch.ones(1, 1, 1, 1, dtype=torch.bool)), "Dense"),
        (Causal() | Padding(REAL_BS), "Either"),
    ],
)
def test_linear_attention_refuses_masks_that_it_cannot_do(mask: Mask, name: str) -> None:
    with pytest.raises(InputError, match=f"linear attention can only do padding and causal masks, not {name}"):
        Linear()(*inputs(), mask)


def test_linear_attention_takes_positions_without_a_bias_only() -> None:
    assert Linear(position=Rotary()).position == Rotary()
    with pytest.raises(InputError, match="attention.core.position cannot be Alibi: linear attention has no scores"):
        Linear(position=Alibi())


@pytest.mark.parametrize("mask", [EVERYTHING, Causal()], ids=repr)
def test_linear_attention_in_bfloat16_is_that_of_float32_rounded_once(mask: Mask) -> None:
    q, k, v = (x.bfloat16() for x in inputs(300, 300))
    assert torch.equal(Linear()(q, k, v, mask)[0], Linear()(q.float(), k.float(), v.float(), mask)[0].bfloat16())


def test_linear_attention_stays_exact_where_scores_are_very_low() -> None:
    q, k, v = inputs()
    low = -40 * torch.ones_like(k)
    same(Linear()(q, low, v)[0], Uniform()(q, k, v)[0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SlidingWindow(width=0), "attention.core.width must be at least 1, got 0"),
        (lambda: TopK(k=0), "attention.core.k must be at least 1, got 0"),
    ],
)
def test_a_core_that_makes_no_sense_is_refused(make: Callable[[], Core], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


def test_dropout_changes_contexts_and_not_the_weights_shown() -> None:
    q, k, v = inputs()
    for kind in set(EVERY) - {Linear}:
        core = kind()
        (kept, weights), (dropped, shown) = (
            core(q, k, v, dropout=share, learned=trained(core), need_weights=True) for share in (0.0, 0.5)
        )
        assert not torch.allclose(kept, dropped)
        assert weights is not None
        assert shown is not None
        assert torch.equal(weights, shown)
