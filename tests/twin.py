"""torch's own Transformer with the same weights as ours, and what both make of the same.

N texts, S source tokens, T target tokens, E width.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from finetune.attention.multihead import MultiHeadAttention
from finetune.transformer.systems import Vocabulary
from finetune.transformer.systems.transformer import Transformer, Translator


def pair(system: Transformer, vocabulary: Vocabulary) -> tuple[Translator, nn.Transformer]:
    """Ours with torch's weights. In the paper's order there is no norm after the last block."""
    torch.manual_seed(0)
    width, heads, layers, pre = system.width, system.heads, system.layers, system.order == "pre"
    options = {"dim_feedforward": system.inner, "dropout": system.dropout, "norm_first": pre, "batch_first": True}
    after = (lambda: nn.LayerNorm(width)) if pre else (lambda: None)
    encoder, decoder = nn.TransformerEncoderLayer, nn.TransformerDecoderLayer
    theirs = nn.Transformer(
        width,
        heads,
        custom_encoder=nn.TransformerEncoder(
            encoder(width, heads, **options), layers, after(), enable_nested_tensor=False
        ),
        custom_decoder=nn.TransformerDecoder(decoder(width, heads, **options), layers, after()),
        batch_first=True,
    )
    for name, parameter in theirs.named_parameters():
        nn.init.normal_(parameter, mean=float("norm" in name and "weight" in name), std=width**-0.5)
    ours = system.build(vocabulary)
    _copy(theirs, ours)
    return ours, theirs


def compared(
    ours: Translator, theirs: nn.Transformer, source_NSE: Tensor, target_NTE: Tensor, real_NS: Tensor
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """By name what ours and theirs make of the same: outputs, and gradients of the inputs and of every weight.

    The loss is the mean over texts of the sum of squares: of a mean over all numbers gradients would be so small that
    any two are alike.
    """
    one, other = ([each.clone().requires_grad_() for each in (source_NSE, target_NTE)] for _ in range(2))
    found_NTE = through(ours, *one, real_NS=real_NS)
    wanted_NTE = through_theirs(theirs, *other, real_NS=real_NS)
    yield "outputs", found_NTE.detach(), wanted_NTE.detach()
    for made_NTE in (found_NTE, wanted_NTE):
        made_NTE.square().sum(dim=(1, 2)).mean().backward()
    for name, own, their in zip(("source", "target"), one, other, strict=True):
        yield name, _gradient(own), _gradient(their)
    gradients, wanted = copy.deepcopy(theirs), copy.deepcopy(ours)
    with torch.no_grad():
        for gradient, parameter in zip(gradients.parameters(), theirs.parameters(), strict=True):
            gradient.copy_(_gradient(parameter))
    _copy(gradients, wanted)  # as the weights were
    for half in ("encoder", "decoder"):
        their = dict(getattr(wanted, half).named_parameters())
        for name, parameter in getattr(ours, half).named_parameters():
            yield f"{half}.{name}", _gradient(parameter), their[name].detach()


def through(ours: Translator, source_NSE: Tensor, target_NTE: Tensor, real_NS: Tensor) -> Tensor:
    memory_NSE = ours.encoder(source_NSE, real_NS)[-1]
    return ours.decoder(target_NTE, memory_NSE, real_NS)


def through_theirs(theirs: nn.Transformer, source_NSE: Tensor, target_NTE: Tensor, real_NS: Tensor) -> Tensor:
    length, padding_NS = target_NTE.shape[1], real_NS == 0
    return theirs(
        source_NSE,
        target_NTE,
        tgt_mask=torch.ones(length, length, dtype=torch.bool).triu(1),
        src_key_padding_mask=padding_NS,
        memory_key_padding_mask=padding_NS,
        tgt_is_causal=True,
    )


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _copy(theirs: nn.Transformer, ours: Translator) -> None:
    for own, their in zip([ours.encoder, ours.decoder], [theirs.encoder, theirs.decoder], strict=True):
        for block, layer in zip(own.blocks, their.layers, strict=True):
            _block(block, layer)
        if their.norm is not None:
            own.norm.norm.load_state_dict(their.norm.state_dict())  # pyright: ignore


def _block(block: nn.Module, layer: nn.Module) -> None:
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
