"""What a swapped attention that claims to be the checkpoint's own must share with it: formula, logits and gradients.

An intervention, a core that is not the softmax of scaled scores, is meant to differ: how much is told, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from finetune.attention.masks import EVERYTHING, Causal, Padding
from finetune.attention.mistakes import Case, diagnose
from finetune.certificate.pair import FLOAT32, Check, Pair, Said, greatest, twin, whole_error, within, worst

GRADIENT = 1e-3  # of a parameter's gradient; of its norm
WHOLE, EACH = 1.5, 3.0  # how many times as much as the checkpoint's own all gradients, and one, may lose by rounding
ROUNDED = 1e-2  # and besides: about as much as bfloat16 makes of 1


def formula(pair: Pair) -> Check:
    """The core in float64 against the definition, and where they differ, against the mistakes one makes."""
    scale, padding = pair.modules[0].scale, Padding(torch.tensor([[True] * 7, [True] * 5 + [False] * 2]))
    square, behind = pair.random(2, 7, 7), pair.random(2, 3, 7)
    error, mistake = diagnose(
        lambda q, k, v, mask, scale: pair.core(q, k, v, mask, scale=scale, learned=pair.learned)[0],
        [
            Case(*square, EVERYTHING, scale),
            Case(*square, EVERYTHING, 1.7 * scale),
            Case(*square, Causal() & padding, scale),
            Case(*behind, Causal(4) & padding, scale),
        ],
    )
    return Check("formula", not mistake, f"off by {error:.0e}" + (f", {mistake}" if mistake else ""))


def logits(pair: Pair) -> Check:
    """The greatest error of a logit, of the greatest logit."""
    return within("logits, float32", _distance(pair.stock_said, pair.ours_said), FLOAT32)


def difference(pair: Pair) -> Check:
    """Of an intervention: what it does to the checkpoint before it is trained."""
    error = _distance(pair.stock_said, pair.ours_said)
    unchanged = f"the checkpoint's own, off by {error:.1e} of at most {FLOAT32:.0e}: it starts unchanged"
    told = unchanged if error <= FLOAT32 else f"an intervention: {error:.1e} of the greatest from the checkpoint's own"
    return Check("logits, float32", error < float("inf"), told)


def gradients(pair: Pair) -> Check:
    """The error of every parameter's gradient, and which is the worst."""
    stock = pair.stock_said.gradients
    errors = _errors(stock, pair.ours_said.gradients)
    name = worst(errors)
    return within(f"gradients of {len(stock)} parameters", errors[name], GRADIENT, f", the worst {name}")


def bfloat16(pair: Pair) -> Check:
    """Rounding costs no more than it costs the checkpoint's own; of an intervention that is told, and is finite."""
    if not pair.exact:
        ours = _lost(pair, pair.ours, pair.ours_said)
        finite = ours.logits + ours.whole < float("inf")
        return Check(
            "bfloat16", finite, f"logits off by {ours.logits:.1e} of its float32, gradients by {ours.whole:.1e}"
        )
    ours, stock = _lost(pair, pair.ours, pair.stock_said), _lost(pair, pair.stock, pair.stock_said)
    name = worst({name: each - EACH * stock.each[name] for name, each in ours.each.items()})
    found = {
        "logits": (ours.logits, stock.logits, EACH),
        "all gradients": (ours.whole, stock.whole, WHOLE),
        f"that of {name}": (ours.each[name], stock.each[name], EACH),
    }
    passed = all(one <= times * other + ROUNDED for one, other, times in found.values())
    told = ", ".join(f"{name} {one:.1e} (its own {other:.1e})" for name, (one, other, _) in found.items())
    return Check("bfloat16", passed, f"off by: {told}")


@dataclass(frozen=True)
class Lost:
    """What rounding costs: the distance from float32, of logits, of all gradients as one, and of each parameter's."""

    logits: float
    whole: float
    each: Mapping[str, float]


def _lost(pair: Pair, model: PreTrainedModel, exact: Said) -> Lost:
    rounded = pair.ask(twin(model, torch.bfloat16), pair.batch.to(torch.device("cpu"), torch.bfloat16))
    return Lost(
        logits=_distance(exact, rounded),
        whole=whole_error(exact.gradients, rounded.gradients),
        each=_errors(exact.gradients, rounded.gradients),
    )


def _distance(one: Said, other: Said) -> float:
    return greatest(one.logits - other.logits) / greatest(one.logits)


def _errors(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, float]:
    """How far each gradient is off, of its own norm; the least ones are measured against the greatest of all."""
    norms = {name: float(gradient.norm()) for name, gradient in expected.items()}
    floor = 1e-4 * max(norms.values())
    return {
        name: float((found[name] - gradient if name in found else gradient).norm()) / max(norms[name], floor)
        for name, gradient in expected.items()
    }
