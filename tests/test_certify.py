"""The certificate: passed by what is right on every family, and failed, by name, by each mistake one makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import tiny
import torch
from torch import Tensor

from finetune import InputError, Recipe
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.masks import EVERYTHING, Both, Causal, Mask
from finetune.attention.positions import Learned
from finetune.attention.swap import MultiHead, named
from finetune.certify import Check, certify

Attended = tuple[Tensor, Tensor | None]


def failed(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.measured for check in checks if not check.passed}


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_ours_passes_in_every_family(toy: Callable[[str], Recipe], family: str) -> None:
    checks = certify(replace(toy(family), attention=MultiHead()))
    assert failed(checks) == {}
    assert {"swapped", "formula", "mask", "LoRA targets", "saved and loaded"} <= {check.name for check in checks}


@pytest.mark.parametrize("name", ["uniform", "linear", "sliding_window", "top_k", "talking_heads", "differential"])
@pytest.mark.parametrize("family", tiny.PACKAGED_FAMILIES)
def test_an_intervention_passes_what_holds_for_every_attention(
    toy: Callable[[str], Recipe], family: str, name: str
) -> None:
    assert failed(certify(replace(toy(family), attention=named(name)))) == {}


@dataclass(frozen=True, kw_only=True)
class NoScale(ScaledDotProduct):
    def scores(self, q_BHTD: Tensor, k_BKSD: Tensor, scale: float) -> Tensor:
        return super().scores(q_BHTD, k_BKSD, 1.0)


@dataclass(frozen=True, kw_only=True)
class NoMask(ScaledDotProduct):
    def restrict(self, mask: Mask, offset: int) -> Mask:
        return EVERYTHING


@dataclass(frozen=True, kw_only=True)
class OneAhead(ScaledDotProduct):
    def restrict(self, mask: Mask, offset: int) -> Mask:
        if isinstance(mask, Both):
            return self.restrict(mask.one, offset) & self.restrict(mask.other, offset)
        return Causal(mask.offset + 1) if isinstance(mask, Causal) else mask


@dataclass(frozen=True, kw_only=True)
class Transposed(ScaledDotProduct):
    def attend(
        self,
        q_BHTD: Tensor,
        k_BKSD: Tensor,
        v_BKSD: Tensor,
        mask: Mask,
        scale: float,
        dropout: float,
        learned: Learned,
        need_weights: bool,
    ) -> Attended:
        context, weights = super().attend(q_BHTD, k_BKSD, v_BKSD, mask, scale, dropout, learned, need_weights)
        return context.transpose(1, 2).reshape(context.shape), weights


@dataclass(frozen=True, kw_only=True)
class NoZeros(ScaledDotProduct):
    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        lowest = torch.finfo(scores_BHTS.dtype).min
        return (scores_BHTS if allowed is None else scores_BHTS.masked_fill(~allowed, lowest)).softmax(-1)


BROKEN = {
    NoScale: ("formula", "as if the scores were not scaled"),
    NoMask: ("formula", "as if the mask were dropped"),
    OneAhead: ("formula", "as if one position ahead were allowed"),
    Transposed: ("formula", "as if the heads were transposed"),
    NoZeros: ("fully masked row", "context at most"),
}


@pytest.mark.parametrize("core", BROKEN, ids=lambda core: core.__name__)
def test_each_mistake_is_caught_and_named(toy: Callable[[str], Recipe], core: type[ScaledDotProduct]) -> None:
    check, words = BROKEN[core]
    assert words in failed(certify(replace(toy("gpt2"), attention=MultiHead(core=core()))))[check]


@pytest.mark.parametrize(("core", "check"), [(NoMask, "padded = unpadded"), (OneAhead, "the future is not seen")])
def test_a_mask_that_is_wrong_fails_in_the_model_too(
    toy: Callable[[str], Recipe], core: type[ScaledDotProduct], check: str
) -> None:
    found = failed(certify(replace(toy("llama"), attention=MultiHead(core=core()))))
    assert {check, "mask", "logits, float32"} <= set(found)
    assert "look ahead" in found["mask"]


def test_there_is_nothing_to_certify_of_a_stock_attention(toy: Callable[[str], Recipe]) -> None:
    with pytest.raises(InputError, match="nothing to certify: recipe.attention is the checkpoint's own; try multihead"):
        certify(toy("bert"))
