"""The Transformer from scratch is torch's own, given its weights: outputs and every gradient, with padding."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from finetune.attention.multihead import MultiHeadAttention
from finetune.transformer.systems import Vocabulary
from finetune.transformer.systems.transformer import Transformer, Translator

E, H, L, INNER, N, S, T = 32, 4, 2, 64, 3, 9, 7
VOCABULARY = Vocabulary(size=11, pad=0, start=2, end=3)
REAL_NS = torch.arange(S)[None] < torch.tensor([[9], [5], [1]])
LEAST = 5e-6


def pair(order: Literal["pre", "post"], layers: int = L) -> tuple[Translator, nn.Transformer]:
    """Ours with torch's weights. In the paper's order there is no norm after the last block."""
    torch.manual_seed(0)
    pre = order == "pre"
    options = {"dim_feedforward": INNER, "dropout": 0.0, "norm_first": pre, "batch_first": True}
    after = (lambda: nn.LayerNorm(E)) if pre else (lambda: None)
    theirs = nn.Transformer(
        E,
        H,
        custom_encoder=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(E, H, **options), layers, after(), enable_nested_tensor=False
        ),
        custom_decoder=nn.TransformerDecoder(nn.TransformerDecoderLayer(E, H, **options), layers, after()),
        batch_first=True,
    )
    for name, parameter in theirs.named_parameters():
        nn.init.normal_(parameter, mean=float("norm" in name and "weight" in name), std=0.2)
    system = Transformer(width=E, heads=H, layers=layers, inner=INNER, dropout=0.0, order=order)
    ours = system.build(VOCABULARY)
    for own, their in zip([ours.encoder, ours.decoder], [theirs.encoder, theirs.decoder], strict=True):
        for block, layer in zip(own.blocks, their.layers, strict=True):
            _copy(block, layer)
        if pre:
            own.norm.norm.load_state_dict(their.norm.state_dict())  # pyright: ignore
    return ours, theirs


def _copy(block: nn.Module, layer: nn.Module) -> None:
    crosses = hasattr(layer, "multihead_attn")
    _attention(block.attention, layer.self_attn)  # pyright: ignore
    norms = [block.around_attention, block.around_feed_forward]
    if crosses:
        _attention(block.cross, layer.multihead_attn)  # pyright: ignore
        norms.insert(1, block.around_cross)
    for number, around in enumerate(norms, start=1):
        around.norm.load_state_dict(getattr(layer, f"norm{number}").state_dict())  # pyright: ignore
    block.feed_forward.inner.load_state_dict(layer.linear1.state_dict())  # pyright: ignore
    block.feed_forward.outer.load_state_dict(layer.linear2.state_dict())  # pyright: ignore


def _attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        for part, weight, bias in zip(parts, theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True):
            part.weight.copy_(weight)
            part.bias.copy_(bias)
    ours.output.load_state_dict(theirs.out_proj.state_dict())


def through(ours: Translator, source_NSE: Tensor, target_NTE: Tensor) -> Tensor:
    memory_NSE = ours.encoder(source_NSE, REAL_NS)[-1]
    return ours.decoder(target_NTE, memory_NSE, REAL_NS)


def through_theirs(theirs: nn.Transformer, source_NSE: Tensor, target_NTE: Tensor) -> Tensor:
    ahead = torch.ones(T, T, dtype=torch.bool).triu(1)
    return theirs(
        source_NSE,
        target_NTE,
        tgt_mask=ahead,
        src_key_padding_mask=~REAL_NS,
        memory_key_padding_mask=~REAL_NS,
        tgt_is_causal=True,
    )


@pytest.mark.parametrize("layers", [1, 6])
@pytest.mark.parametrize("order", ["pre", "post"])
def test_it_is_torchs_transformer_in_outputs_and_gradients(order: Literal["pre", "post"], layers: int) -> None:
    ours, theirs = pair(order, layers)
    inputs = torch.randn(N, S, E), torch.randn(N, T, E)
    one, other = ([each.clone().requires_grad_() for each in inputs] for _ in range(2))
    found, wanted = through(ours, *one), through_theirs(theirs, *other)
    assert found.std() > 0.5  # or being equal says little
    assert (found - wanted).abs().max() <= LEAST * max(1.0, float(wanted.detach().abs().max()))
    found.square().mean().backward()
    wanted.square().mean().backward()
    for own, their in zip(one, other, strict=True):
        assert own.grad is not None
        assert their.grad is not None
        assert (own.grad - their.grad).abs().max() <= LEAST * max(1.0, float(their.grad.abs().max()))


def test_a_wrong_order_of_norms_would_show() -> None:
    ours, theirs = pair("pre")
    for module in ours.modules():
        if hasattr(module, "first"):
            module.first = False
    inputs = torch.randn(N, S, E), torch.randn(N, T, E)
    assert (through(ours, *inputs) - through_theirs(theirs, *inputs)).abs().max() > 0.1


def test_what_is_padding_in_the_source_changes_nothing() -> None:
    ours, _ = pair("pre")
    source, target = torch.randn(N, S, E), torch.randn(N, T, E)
    changed = torch.where(REAL_NS[..., None], source, torch.randn(N, S, E))
    assert torch.allclose(through(ours, source, target), through(ours, changed, target), atol=1e-6)
