"""The Transformer from scratch is torch's own, given its weights: outputs and every gradient, with padding."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn
from twin import compared, pair, through, through_theirs

from finetune.transformer.systems import Vocabulary
from finetune.transformer.systems.transformer import Transformer, Translator

E, H, L, INNER, N, S, T = 32, 4, 2, 64, 3, 9, 7
VOCABULARY = Vocabulary(size=11, pad=0, start=2, end=3)
REAL_NS = torch.arange(S)[None] < torch.tensor([[9], [5], [1]])
LEAST = 5e-6


def both(order: Literal["pre", "post"], layers: int = L) -> tuple[Translator, nn.Transformer]:
    return pair(Transformer(width=E, heads=H, layers=layers, inner=INNER, dropout=0.0, order=order), VOCABULARY)


@pytest.mark.parametrize("layers", [1, 6])
@pytest.mark.parametrize("order", ["pre", "post"])
def test_it_is_torchs_transformer_in_outputs_and_gradients(order: Literal["pre", "post"], layers: int) -> None:
    ours, theirs = both(order, layers)
    weights = sum(each.numel() for half in (ours.encoder, ours.decoder) for each in half.parameters())
    assert weights == sum(each.numel() for each in theirs.parameters())  # none is left out
    for name, found, wanted in compared(ours, theirs, torch.randn(N, S, E), torch.randn(N, T, E), REAL_NS):
        largest = float(wanted.abs().max())
        # or being equal says little; what is added to every key changes nothing
        assert largest > 10 * LEAST or name.endswith("key.bias"), name
        assert found.std() > 0.5 or name != "outputs"
        assert (found - wanted).abs().max() <= LEAST * max(1.0, largest), name


def test_a_wrong_order_of_norms_would_show() -> None:
    ours, theirs = both("pre")
    for module in ours.modules():
        if hasattr(module, "first"):
            module.first = False  # pyright: ignore
    inputs = torch.randn(N, S, E), torch.randn(N, T, E)
    assert (through(ours, *inputs, REAL_NS) - through_theirs(theirs, *inputs, REAL_NS)).abs().max() > 0.1


def test_a_wrong_gradient_of_one_weight_would_show() -> None:
    ours, theirs = both("post")
    next(ours.decoder.blocks[0].cross.key.parameters()).register_hook(lambda gradient: 1.01 * gradient)  # pyright: ignore
    made = compared(ours, theirs, torch.randn(N, S, E), torch.randn(N, T, E), REAL_NS)
    wrong = [name for name, found, wanted in made if (found - wanted).abs().max() > 10 * LEAST]
    assert wrong == ["decoder.blocks.0.cross.key.weight"]


def test_what_is_padding_in_the_source_changes_nothing() -> None:
    ours, _ = both("pre")
    source, target = torch.randn(N, S, E), torch.randn(N, T, E)
    changed = torch.where(REAL_NS[..., None], source, torch.randn(N, S, E))
    assert torch.allclose(through(ours, source, target, REAL_NS), through(ours, changed, target, REAL_NS), atol=1e-6)
