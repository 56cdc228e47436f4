"""Multi-head attention from scratch is torch's own, given its weights."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finetune import InputError
from finetune.attention import cores
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.masks import EVERYTHING, Causal, Mask, Padding
from finetune.attention.multihead import KeyValueCache, MultiHeadAttention, split
from finetune.attention.positions.rotary import Rotary

B, T, S, E, H = 3, 9, 7, 32, 4
REAL_BS = torch.arange(S)[None] < torch.tensor([[7], [4], [1]])


def pair(dtype: torch.dtype = torch.float32, memory_width: int | None = None) -> tuple[MultiHeadAttention, nn.Module]:
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(E, H, batch_first=True, kdim=memory_width, vdim=memory_width, dtype=dtype)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2)
    ours = MultiHeadAttention(E, H, memory_width=memory_width).to(dtype)
    if memory_width is None:
        weights = theirs.in_proj_weight.chunk(3)
    else:
        weights = theirs.q_proj_weight, theirs.k_proj_weight, theirs.v_proj_weight
    with torch.no_grad():
        for linear, weight, bias in zip(
            (ours.query, ours.key, ours.value), weights, theirs.in_proj_bias.chunk(3), strict=True
        ):
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)
        ours.output.load_state_dict(theirs.out_proj.state_dict())
    return ours, theirs


def packed(ours: MultiHeadAttention) -> list[Tensor]:
    """Our gradients as torch packs them."""
    parts = (ours.query, ours.key, ours.value)
    grads = [torch.cat([getattr(part, name).grad for part in parts]) for name in ("weight", "bias")]
    return [*grads, ours.output.weight.grad, ours.output.bias.grad]  # pyright: ignore


def same(ours: list[Tensor], theirs: list[Tensor | None]) -> None:
    """Equal to 1e-6, of one or of the greatest number where that is more."""
    for our, their in zip(ours, theirs, strict=True):
        assert their is not None
        assert (our - their).abs().max() <= 1e-6 * max(1.0, float(their.detach().abs().max()))


@pytest.fixture(params=["plain", "lean", "torch"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form in turn: the one that is fastest here may be torch's own, compared with itself."""
    monkeypatch.setattr(cores, "fastest", lambda *_: request.param)


@pytest.mark.parametrize(
    ("mask", "attn_mask"),
    [(EVERYTHING, None), (Causal(), torch.ones(T, T, dtype=torch.bool).triu(1))],
    ids=["everything", "causal"],
)
@pytest.mark.usefixtures("form")
def test_self_attention_is_torchs_in_outputs_and_every_gradient(mask: Mask, attn_mask: Tensor | None) -> None:
    ours, theirs = pair()
    x = torch.randn(B, T, E)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, _ = ours(one, mask=mask)
    wanted, _ = theirs(other, other, other, attn_mask=attn_mask)
    found.square().sum().backward()
    wanted.square().sum().backward()
    assert (found - wanted).abs().max() <= 1e-6
    assert one.grad is not None
    same([one.grad, *packed(ours)], [other.grad, *(p.grad for p in theirs.parameters())])


def test_the_weights_shown_are_torchs() -> None:
    ours, theirs = pair()
    maps: list[Tensor] = []
    ours.watcher = maps.append
    x = torch.randn(B, T, E)
    found, _ = ours(x)
    wanted, weights = theirs(x, x, x, average_attn_weights=False)
    assert (found - wanted).abs().max() <= 1e-6
    assert (maps[0] - weights).abs().max() <= 1e-6


@pytest.mark.usefixtures("form")
def test_cross_attention_over_a_padded_memory_of_another_width_is_torchs() -> None:
    ours, theirs = pair(memory_width=20)
    inputs = torch.randn(B, T, E), torch.randn(B, S, 20)
    (x, memory), (their_x, their_memory) = ([each.clone().requires_grad_() for each in inputs] for _ in range(2))
    found, _ = ours(x, memory, Padding(REAL_BS))
    wanted, _ = theirs(their_x, their_memory, their_memory, key_padding_mask=~REAL_BS)
    found.square().sum().backward()
    wanted.square().sum().backward()
    assert (found - wanted).abs().max() <= 1e-6
    parts = (ours.query, ours.key, ours.value)
    biases = torch.cat([part.bias.grad for part in parts])  # pyright: ignore
    grads = [x.grad, memory.grad, *(part.weight.grad for part in parts), biases]
    grads += [ours.output.weight.grad, ours.output.bias.grad]
    same(grads, [their_x.grad, their_memory.grad, *(p.grad for p in theirs.parameters())])  # pyright: ignore


@pytest.mark.parametrize("shared", [H, 2, 1])
@pytest.mark.parametrize(
    "mask", [EVERYTHING, Causal(), Causal() & Padding(torch.ones(B, T).tril(T - B).bool())], ids=str
)
@pytest.mark.usefixtures("form")
def test_it_is_torchs_scaled_dot_product_between_the_same_projections(shared: int, mask: Mask) -> None:
    torch.manual_seed(0)
    ours = MultiHeadAttention(E, H, shared_heads=shared)
    theirs = copy.deepcopy(ours)
    x = torch.randn(B, T, E)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, _ = ours(one, mask=mask)
    q, k, v = (split(part(other), E // H) for part in (theirs.query, theirs.key, theirs.value))
    allowed = mask.dense(T, T, x.device)
    context = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, enable_gqa=True)
    wanted = theirs.output(context.transpose(1, 2).flatten(2))
    found.square().sum().div(B).backward()
    wanted.square().sum().div(B).backward()
    same([found, one.grad], [wanted, other.grad])  # pyright: ignore
    same([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])  # pyright: ignore


def test_gradients_are_those_of_finite_differences() -> None:
    ours, _ = pair(torch.float64)
    x = torch.randn(2, 4, E, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda each: ours(each, mask=Causal())[0], (x,))


@pytest.mark.parametrize("shared", [4, 2, 1])
@pytest.mark.parametrize("core", [ScaledDotProduct(), ScaledDotProduct(position=Rotary())], ids=["none", "rotary"])
def test_token_by_token_with_a_cache_is_all_at_once(shared: int, core: ScaledDotProduct) -> None:
    torch.manual_seed(0)
    ours = MultiHeadAttention(E, H, shared_heads=shared, core=core, layer=2)
    x = torch.randn(B, T, E)
    whole, _ = ours(x, mask=Causal())
    cache = KeyValueCache()
    steps = [ours(x[:, t : t + 1], mask=Causal(offset=t), cache=cache)[0] for t in range(T)]
    assert cache.get_seq_length(2) == T
    assert (torch.cat(steps, 1) - whole).abs().max() <= 1e-6


def test_grouped_heads_are_whole_ones_with_repeated_keys() -> None:
    torch.manual_seed(0)
    few, many = MultiHeadAttention(E, H, shared_heads=2), MultiHeadAttention(E, H)
    state = few.state_dict()
    for name in ("key", "value"):
        for kind in ("weight", "bias"):
            heads = state[f"{name}.{kind}"].unflatten(0, (2, -1))
            state[f"{name}.{kind}"] = heads.repeat_interleave(2, 0).flatten(0, 1)
    many.load_state_dict(state)
    x = torch.randn(B, T, E)
    assert (few(x)[0] - many(x)[0]).abs().max() <= 1e-6


def test_dropout_is_of_training_only() -> None:
    torch.manual_seed(0)
    ours = MultiHeadAttention(E, H, dropout=0.5)
    x = torch.randn(B, T, E)
    assert not torch.equal(ours(x)[0], ours(x)[0])
    ours.eval()
    assert torch.equal(ours(x)[0], ours(x)[0])


@pytest.mark.parametrize(
    ("heads", "shared", "words"),
    [
        (5, None, "5 heads do not divide a width of 32"),
        (0, None, "0 heads do not divide a width of 32"),
        (4, 3, "4 heads of queries cannot share 3 heads of keys: it must divide them"),
    ],
)
def test_heads_that_do_not_divide_are_refused(heads: int, shared: int | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        MultiHeadAttention(E, heads, shared_heads=shared)


def test_a_mask_for_another_number_of_keys_is_refused() -> None:
    with pytest.raises(InputError, match=r"a mask of \(3, 1, 1, 7\) does not fit scores of \(3, 4, 9, 9\)"):
        pair()[0](torch.randn(B, T, E), mask=Padding(REAL_BS))
