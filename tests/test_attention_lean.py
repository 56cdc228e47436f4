"""The lean form is the plain form, without its memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from finetune.attention import blocks, cores
from finetune.attention.cores import Core
from finetune.attention.cores.alibi import AlibiAttention
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.masks import EVERYTHING, Causal, Mask, Padding, Window
from finetune.attention.positions.alibi import Alibi

B, H, K, S, D = 2, 4, 2, 33, 8
REAL = torch.arange(S)[None] < torch.tensor([[S], [20]])
MASKS = {
    "everything": EVERYTHING,
    "causal": Causal(),
    "padding": Padding(REAL),
    "causal and padding": Causal() & Padding(REAL),
    "nothing at all in one example": Padding(REAL & torch.tensor([[True], [False]])),
    "left padding": Causal() & Padding(REAL.flip(1)),
    "window": Window(5),
}


def inputs(queries: int = S, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(0)
    shapes = ((B, H, queries, D), (B, K, S, D), (B, K, S, D))
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def choose(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(cores, "fastest", lambda *_: form)


@pytest.fixture(params=[(2**19, 2048), (64, 8), (512, 33)], ids=["one block", "tiny blocks", "whole rows"])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", request.param[0])
    monkeypatch.setattr(blocks, "KEYS", request.param[1])


each_core = pytest.mark.parametrize("core", [ScaledDotProduct(), AlibiAttention()], ids=["dot product", "with a bias"])


@each_core
@pytest.mark.parametrize("form", ["lean", "kept", "torch"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.usefixtures("sizes")
def test_every_form_is_the_plain_one_in_outputs_and_gradients(
    monkeypatch: pytest.MonkeyPatch, core: Core, form: str, mask: Mask
) -> None:
    tensors = inputs()
    found = {}
    for name in ("plain", form):
        choose(monkeypatch, name)
        context, _ = core(*tensors, mask)
        found[name] = [context, *torch.autograd.grad(context, tensors, torch.ones_like(context).cumsum(-1))]
    for ours, plain in zip(found[form], found["plain"], strict=True):
        assert (ours - plain).abs().max() < 1e-12


@pytest.mark.usefixtures("sizes")
def test_queries_behind_a_cache_of_keys_see_what_they_would_have_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "lean")
    q, k, v = inputs()
    whole, _ = ScaledDotProduct()(q, k, v, Causal())
    last, _ = ScaledDotProduct()(q[:, :, -3:], k, v, Causal(offset=S - 3))
    assert (last - whole[:, :, -3:]).abs().max() < 1e-12


@pytest.mark.usefixtures("sizes")
def test_gradients_are_those_of_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "lean")
    q, k, v = (each[:1, :, :6].detach().requires_grad_() for each in inputs())
    attention: Callable[..., Tensor] = lambda *each: ScaledDotProduct()(*each, Causal())[0]  # noqa: E731
    assert torch.autograd.gradcheck(attention, (q, k, v))


@pytest.mark.parametrize("form", ["plain", "lean"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize(
    "mask",
    [EVERYTHING, Padding(REAL[1:, 16:22]), Causal() & Padding(REAL[1:, 16:22]), Causal(-2)],
    ids=["everything", "padding", "causal and padding", "some see nothing"],
)
@pytest.mark.usefixtures("sizes")
def test_gradients_are_those_of_finite_differences_under_masks_and_dropout_and_shared_heads(
    monkeypatch: pytest.MonkeyPatch, form: str, dropout: float, mask: Mask
) -> None:
    choose(monkeypatch, form)
    q, k, v = (each[:1, :, :6, :4].detach().requires_grad_() for each in inputs())

    def attention(*each: Tensor) -> Tensor:
        torch.manual_seed(0)  # the same weights are dropped at each point
        return ScaledDotProduct()(*each, mask, dropout=dropout)[0]

    assert torch.autograd.gradcheck(attention, (q, k, v), fast_mode=True)


@pytest.mark.usefixtures("sizes")
def test_the_weights_that_are_dropped_are_the_same_ones_on_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout is linear in the values: their gradient is the transposed weights, dropped ones among them."""
    choose(monkeypatch, "lean")
    q, k, v = inputs()
    torch.manual_seed(1)
    context, _ = ScaledDotProduct()(q, k, v, dropout=0.5)
    (gradient,) = torch.autograd.grad(context, v, context.detach(), retain_graph=True)
    assert torch.allclose((gradient * v).sum(), (context * context).sum())
    torch.manual_seed(1)
    assert torch.equal(context, ScaledDotProduct()(q, k, v, dropout=0.5)[0])
    assert not torch.equal(context, ScaledDotProduct()(q, k, v, dropout=0.5)[0])


def test_dropout_keeps_the_mean_and_drops_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "lean")
    zeros, ones = torch.zeros(8, 4, 64, D), torch.ones(8, 4, 64, D)
    context, _ = ScaledDotProduct()(zeros, zeros, ones, dropout=0.25)
    share = context[..., 0] * (1 - 0.25)  # of 64 equal weights, how many were kept
    assert abs(share.mean() - 0.75) < 6 * (0.25 * 0.75 / (64 * share.numel())) ** 0.5
    assert share.std() == pytest.approx((0.25 * 0.75 / 64) ** 0.5, rel=0.1)


def test_bfloat16_is_as_near_to_exact_as_the_plain_form_is(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, error = inputs(), {}
    reference = ScaledDotProduct()(*exact, MASKS["causal and padding"], need_weights=True)[0]
    wanted = [reference, *torch.autograd.grad(reference, exact, torch.ones_like(reference))]
    for form in ("plain", "lean"):
        choose(monkeypatch, form)
        rounded = [each.detach().bfloat16().requires_grad_() for each in exact]
        context, _ = ScaledDotProduct()(*rounded, MASKS["causal and padding"])
        found = [context, *torch.autograd.grad(context, rounded, torch.ones_like(context))]
        error[form] = [((a - b).norm() / b.norm()).item() for a, b in zip(found, wanted, strict=True)]
    assert all(ours < 1.5 * plain for ours, plain in zip(error["lean"], error["plain"], strict=True)), error


def test_lean_needs_a_fifth_of_the_memory_of_the_plain_form_and_grows_with_the_length_alone() -> None:
    """Counted by autograd itself: what the forward pass keeps for the backward pass."""

    def kept(form: str, length: int) -> int:
        q = torch.randn(1, 2, length, D, requires_grad=True)
        found = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal found
            found += tensor.numel() * tensor.element_size()
            return tensor

        with pytest.MonkeyPatch.context() as patch, torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            choose(patch, form)
            ScaledDotProduct()(q, q, q)
        return found

    assert kept("lean", 1024) < kept("plain", 1024) / 5
    assert kept("lean", 1024) == 2 * kept("lean", 512)


@dataclass(frozen=True, kw_only=True)
class Mine(ScaledDotProduct):
    """Somebody's own core."""

    def scores(self, q_BHTD: Tensor, k_BKSD: Tensor, scale: float) -> Tensor:
        return super().scores(q_BHTD, k_BKSD, scale) * 0


@pytest.mark.parametrize("form", ["lean", "kept", "torch"])
def test_a_core_of_ones_own_is_never_replaced_by_a_faster_form_of_another(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    choose(monkeypatch, form)
    q, k, v = inputs()
    context, _ = Mine()(q, k, v)
    assert torch.allclose(context, v.mean(2, keepdim=True).repeat_interleave(H // K, 1).expand_as(context))


def test_a_bias_that_learns_is_learned_whatever_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    from finetune.attention.positions.t5_bias import T5Bias

    choose(monkeypatch, "lean")
    core = ScaledDotProduct(position=T5Bias())
    learned = {name: value.double().requires_grad_() for name, value in core.learned(H * D, H, D).items()}
    context, _ = core(*inputs(), learned=learned)
    context.square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in learned.values())
    assert Alibi().learned(H * D, H) == {}


# away from the CPU


def on(device: str, form: str, core: Core, mask: Mask, dropout: float = 0.0) -> list[Tensor]:
    """Context and gradients, in float32, on a device; masks and what is learned come from where they are."""
    tensors = [each.detach().to(device, torch.float32).requires_grad_() for each in inputs()]
    with pytest.MonkeyPatch.context() as patch:
        choose(patch, form)
        context, _ = core(*tensors, mask, dropout=dropout)
    return [context, *torch.autograd.grad(context, tensors, torch.ones_like(context).cumsum(-1))]


@each_core
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_lean_form_makes_all_it_needs_on_the_device_of_its_queries(core: Core, mask: Mask) -> None:
    """On a device that computes nothing, and refuses what is from elsewhere."""
    assert {each.device.type for each in on("meta", "lean", core, mask)} == {"meta"}


@pytest.mark.gpu
@each_core
@pytest.mark.parametrize("form", ["plain", "lean", "torch"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.usefixtures("sizes")
def test_every_form_on_a_gpu_is_the_plain_one_on_the_cpu(core: Core, form: str, mask: Mask) -> None:
    for ours, plain in zip(on("cuda", form, core, mask), on("cpu", "plain", core, mask), strict=True):
        assert (ours.cpu() - plain).abs().max() < 1e-4 * plain.abs().max()


@pytest.mark.gpu
def test_the_lean_form_on_a_gpu_drops_the_same_weights_for_the_same_seed() -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(1)
        found.append(on("cuda", "lean", ScaledDotProduct(), EVERYTHING, 0.5))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))
    assert not torch.equal(found[0][0], on("cuda", "lean", ScaledDotProduct(), EVERYTHING)[0])
