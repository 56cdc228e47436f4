"""What a run must keep to be believed: what is frozen stays, what is trained moves, what is saved predicts the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from finetune import batches
from finetune.encode import Examples
from finetune.evaluate import logits, predicting
from finetune.precision import tokens_per_pass

FEW = 4  # examples that a merged model is tried on, or one that writes
NAMED = 3  # tensors that a complaint names
CLOSE = {torch.bfloat16: 5e-2, torch.float32: 1e-3}  # of logits, whose batch may have been another one


def sums(module: nn.Module) -> dict[str, str]:
    """A hash of every parameter: of a trained one whatever its format is, for training ends in a finer one."""
    return {name: _sum(parameter) for name, parameter in module.named_parameters()}


def broken(module: nn.Module, before: Mapping[str, str], idle: Iterable[nn.Parameter] = ()) -> list[str]:
    """What training did to tensors that it should not have done, or did not do; empty where all is as it should be.

    Args:
        module: trained, with the weights that are saved.
        before: `sums` of it when training began.
        idle: parameters that may stay, though they are trained: an attention of one's own may have no use for them.
    """
    moved, stayed, excused = list[str](), list[str](), set(idle)
    for name, parameter in module.named_parameters():
        if parameter in excused:
            continue
        same = _sum(parameter) == before[name]
        if parameter.requires_grad == same:
            (stayed if same else moved).append(name)
    return [
        *([f"{_named(moved)} moved and should be frozen"] if moved else []),
        *([f"{_named(stayed)} should have been trained and did not move"] if stayed else []),
    ]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a trained model said of some examples, N of them."""

    indices: np.ndarray
    logits: np.ndarray  # (N, classes), or (N, tokens of the target, vocabulary)


def sample(module: nn.Module, examples: Examples, responses: np.ndarray, device: torch.device) -> Sample:
    """Of the logits that were scored; of written texts, those of the right ones: a text says not how close it was."""
    indices = batches.sweep(examples.lengths, tokens_per_pass(device))[-1]
    if responses.dtype != object:
        return Sample(indices=indices, logits=responses[indices])
    few = indices[:FEW]  # a whole vocabulary for every token is much
    return Sample(indices=few, logits=_logits(module, examples, few, device))


def apart(restored: nn.Module, examples: Examples, said: Sample, device: torch.device) -> list[str]:
    """How far what was saved is from what was measured: what it says beside a sample of what it was saved from."""
    again = _logits(restored, examples, said.indices, device)
    most, allowed = float(np.abs(again - said.logits).max()), CLOSE[next(restored.parameters()).dtype]
    if most <= allowed * max(1.0, float(np.abs(said.logits).max())):
        return []
    return [f"saved and loaded again, its logits are up to {most:.2g} from those that were scored"]


def _logits(module: nn.Module, examples: Examples, indices: np.ndarray, device: torch.device) -> np.ndarray:
    batch = examples.batch(indices, batches.multiple(len(indices))).to(device, next(module.parameters()).dtype)
    with predicting(module), torch.no_grad():
        return logits(module, batch)


def unlike(
    restored: nn.Module, merge: Callable[[nn.Module], nn.Module], examples: Examples, device: torch.device
) -> list[str]:
    """How far what was restored is from itself merged, on a few examples, in float32: there merging rounds nothing."""
    restored = restored.float()
    batch = examples.batch(np.arange(min(FEW, len(examples)))).to(device, torch.float32)
    with predicting(restored), torch.no_grad():
        before_NC = restored(**batch.inputs).logits
        apart = float((merge(restored)(**batch.inputs).logits - before_NC).abs().max())
    if apart <= CLOSE[torch.float32] * max(1.0, float(before_NC.abs().max())):
        return []
    return [f"merged into one, its logits are up to {apart:.2g} from those of the parts"]


def repeated(ids: Sequence[str]) -> list[str]:
    """Whether a test example was scored more than once."""
    count = len(ids) - len(set(ids))
    return [f"{count} of {len(ids)} test ids were scored more than once"] if count else []


def _sum(parameter: nn.Parameter) -> str:
    # of a trained one the value counts, whatever its format; a frozen one keeps that too
    values = parameter.detach().float() if parameter.requires_grad else parameter.detach().flatten().view(torch.uint8)
    return hashlib.sha256(values.contiguous().cpu().numpy().data).hexdigest()  # pyright: ignore[reportArgumentType]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
