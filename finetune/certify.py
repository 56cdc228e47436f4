"""The parity certificate: measured proof that a swapped attention is in the model, and is right."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator

import torch

from finetune.certificate import integration, invariants, parity
from finetune.certificate.pair import Check, Pair, small
from finetune.errors import InputError
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.session import session


def certify(recipe: Recipe, *, progress: Silent | None = None) -> list[Check]:
    """Every check of a recipe's attention in its checkpoint, on a few of its rows, on the CPU.

    Raises:
        InputError: the recipe swaps no attention.
    """
    if recipe.attention is None:
        raise InputError("there is nothing to certify: recipe.attention is the checkpoint's own; try multihead")
    progress = progress or Silent()
    here = session(small(recipe), progress=progress)
    with torch.random.fork_rng(devices=[]):
        pair = Pair(here, recipe.attention)
        checks = [*checks_of(pair)]
        progress.start("certify", len(checks), "check")
        found = []
        for check in checks:
            torch.manual_seed(0)
            found.append(_tried(check, pair))
            progress.advance(1)
        progress.end()
    return found


def _tried(check: Callable[[Pair], Check], pair: Pair) -> Check:
    try:
        return check(pair)
    except InputError:
        raise
    except Exception as error:  # the core is anybody's: what it raises is what was found out about it
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == inspect.getfile(type(pair.core))]
        last = (own or frames)[-1]
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return Check(check.__name__.replace("_", " "), False, f"{said} ({last.filename}, line {last.lineno})")


def checks_of(pair: Pair) -> Iterator[Callable[[Pair], Check]]:
    """What there is to check of it, and in which order: what is named first explains what fails later."""
    yield integration.swapped
    if pair.exact:
        yield from (parity.formula, parity.logits, parity.gradients)
    else:
        yield parity.difference
    yield parity.bfloat16
    yield from (invariants.mask, invariants.nothing_to_look_at, invariants.slopes, invariants.dropout)
    yield integration.repeatable
    if pair.is_text:
        yield integration.padding
    if pair.causal:
        yield from (integration.future, integration.cache, integration.generation)
    yield integration.maps
    if pair.modules[0].learned:
        yield integration.learns
    yield from (integration.lora, integration.checkpointing, integration.saved)
