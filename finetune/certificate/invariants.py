"""What holds for any core, be it the checkpoint's own or an intervention: tried on random numbers in float64.

B batch, H heads of queries, T queries, S keys, D head width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from finetune.attention.masks import EVERYTHING, Causal, Mask, Padding
from finetune.certificate.pair import Check, Pair, greatest, worst, written

SHARE = 0.25  # of the weights, to be dropped
SLOPE = 1e-5  # of the steepest: how far a gradient may be from a slope that was tried


def mask(pair: Pair) -> Check:
    """Who looks at whom, under the model's own mask and behind a cache of keys."""
    length = pair.ours_said.states_BTE.shape[1]
    right, told = _looks(pair, length, length, pair.ours_said.masks[0][0])
    if pair.causal:
        new = max(1, length // 3)
        behind, more = _looks(pair, new, length, Causal(length - new))
        right, told = right and behind, f"{told}; behind a cache {more}"
    return Check("mask", right, told)


def _looks(pair: Pair, queries: int, keys: int, given: Mask) -> tuple[bool, str]:
    allowed_BTS, seen_BTS = _pairs(pair, queries, keys, given)
    leaks_BTS, blind_BTS = seen_BTS & ~allowed_BTS, allowed_BTS & ~seen_BTS
    told = f"{int(allowed_BTS.sum())} pairs allowed, {int((~allowed_BTS).sum())} forbidden"
    if leaks_BTS.any():
        later = int((leaks_BTS & torch.ones(queries, keys).triu(keys - queries + 1).bool()).sum())
        return False, f"{told}, {int(leaks_BTS.sum())} leak, {later} of them look ahead"
    if pair.exact and blind_BTS.any():
        own = int(blind_BTS.diagonal(keys - queries, 1, 2).sum())
        return False, f"{told}, {int(blind_BTS.sum())} not seen, {own} of them the query's own"
    # an intervention may look at less than it is allowed to; a token that is no padding looks at something
    lost = int((allowed_BTS.diagonal(keys - queries, 1, 2) & ~seen_BTS.any(-1)).sum())
    if lost:
        return False, f"{told}, {lost} queries see nothing"
    return True, f"{told}, none leaks" + (f", {int(blind_BTS.sum())} unused" if blind_BTS.any() else "")


def _pairs(pair: Pair, queries: int, keys: int, given: Mask) -> tuple[Tensor, Tensor]:
    """Which keys each query may look at, and does (B, T, S): values are given that tell the keys apart."""
    q, k, v = pair.random(len(pair.batch.targets), queries, keys)
    seen = []
    for start in range(0, keys, v.shape[-1]):  # as many keys at a time as a head is wide
        count = min(v.shape[-1], keys - start)
        v = torch.zeros_like(v)
        v[:, :, start : start + count, :count] = torch.eye(count)
        context_BHTD, _ = pair.core(q, k, v, given, scale=pair.modules[0].scale, learned=pair.learned)
        seen.append(context_BHTD[..., :count].abs().amax(1) > 1e-12)
    return written(given, queries, keys)[:, 0].expand(len(q), queries, keys), torch.cat(seen, -1)


def nothing_to_look_at(pair: Pair) -> Check:
    """Where every key is masked: zeros, and no NaN on the way back."""
    leaves = [each.requires_grad_() for each in pair.random(2, 5, 5)]
    nothing = Padding(torch.zeros(2, 5, dtype=torch.bool))
    q, k, v = leaves
    context_BHTD, _ = pair.core(q, k, v, nothing, learned=pair.learned)
    context_BHTD.sum().backward()
    finite = all(each.grad is None or bool(each.grad.isfinite().all()) for each in leaves)
    told = f"context at most {greatest(context_BHTD):.0e}, gradients {'finite' if finite else 'not finite'}"
    return Check("fully masked row", bool((context_BHTD == 0).all()) and finite, told)


def slopes(pair: Pair) -> Check:
    """What comes back as a gradient is how fast the context changes, for everything that goes in."""
    q, k, v = pair.random(2, 5, 5)
    inputs = {"queries": q, "keys": k, "values": v, **pair.learned}
    padding = Padding(torch.tensor([[True] * 5, [True] * 3 + [False] * 2]))
    weights_BHTD = torch.randn_like(q)

    def value(given: Mapping[str, Tensor]) -> Tensor:
        learned = {name: given[name] for name in pair.learned}
        under = Causal() & padding if pair.causal else padding
        context_BHTD, _ = pair.core(given["queries"], given["keys"], given["values"], under, learned=learned)
        return (context_BHTD * weights_BHTD).sum()

    leaves = {name: each.clone().requires_grad_() for name, each in inputs.items()}
    come_back = torch.autograd.grad(value(leaves), [*leaves.values()], allow_unused=True)
    tried: dict[str, tuple[float, float]] = {}
    for (name, each), gradient in zip(inputs.items(), come_back, strict=True):
        step = 1e-5 * torch.randn_like(each)
        slope = float(value(inputs | {name: each + step}) - value(inputs | {name: each - step})) / 2e-5
        tried[name] = slope, 0.0 if gradient is None else float((gradient * step).sum()) / 1e-5
    steepest = max(abs(slope) for slope, _ in tried.values())
    name = worst({name: abs(slope - gradient) for name, (slope, gradient) in tried.items()})
    slope, gradient = tried[name]
    told = f"of {', '.join(tried)}: the worst of {name}, {gradient:.6g} for a slope of {slope:.6g}"
    return Check("gradients are slopes", abs(slope - gradient) <= SLOPE * steepest, told)


def dropout(pair: Pair) -> Check:
    """Of the module in training mode: which weights are left, seen by values that tell the keys apart."""
    module = copy.deepcopy(pair.modules[0])
    module.dropout_share = SHARE
    q, k, v = pair.random(1, 16, min(16, module.head_width))
    v = torch.eye(*v.shape[2:], dtype=v.dtype).expand_as(v)
    q, k, v = (each.expand(64, -1, -1, -1) for each in (q, k, v))
    with torch.no_grad():
        plain, dropped = (module.train(training).attend(q, k, v, EVERYTHING)[0] for training in (False, True))
    plain, dropped = (each.unflatten(-1, (-1, module.head_width))[..., : k.shape[2]] for each in (plain, dropped))
    rows_N = dropped.sum((2, 3)).flatten() / plain.sum((2, 3)).mean()
    mean, error = float(rows_N.mean()), float(rows_N.std()) / len(rows_N) ** 0.5
    told, passed = f"of {SHARE}: mean {mean:.3f} of what it was", abs(mean - 1) <= 6 * error + 1e-9
    if pair.exact:
        more, mistake = _dropped(plain, dropped)
        return Check("dropout", passed and not mistake, f"{told}, {more}{mistake}")
    return Check("dropout", passed, f"{told}: nothing is dropped" if torch.equal(plain, dropped) else told)


def _dropped(plain_BTHS: Tensor, dropped_BTHS: Tensor) -> tuple[str, str]:
    """What became of the weights, and what is wrong about it; empty where nothing is."""
    gone = dropped_BTHS == 0
    share, factors = float(gone.double().mean()), (dropped_BTHS / plain_BTHS)[~gone]
    counts, keys = gone.double().sum(-1), gone.shape[-1]
    spread = float(counts.std()) / (keys * SHARE * (1 - SHARE)) ** 0.5
    told = f"{share:.3f} dropped, the others times {float(factors.min()):.3f} … {float(factors.max()):.3f}"
    if torch.equal(plain_BTHS, dropped_BTHS):
        return told, ": nothing is dropped"
    if greatest(dropped_BTHS.sum(-1) - 1) < 1e-6:
        return told, ": scores are dropped, not weights, for every row still sums to one"
    if abs(share - SHARE) > 6 * (SHARE * (1 - SHARE) / gone.numel()) ** 0.5:
        return told, ": the share is another"
    if greatest(factors * (1 - SHARE) - 1) > 1e-6:
        return told, f": what is kept is not made up for, it should be times {1 / (1 - SHARE):.3f}"
    return told, "" if abs(spread - 1) < 0.1 else f": not each on its own, rows differ {spread:.1f} times as much"
