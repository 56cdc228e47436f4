"""The best of a frozen backbone: every layer, pooling and penalty, solved from features that were taken once.

N examples, E width, C outputs, P penalties, L layers: what the embeddings say, then each block.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from finetune.encode import Examples, Features
from finetune.head import Head
from finetune.objective import Objective
from finetune.progress import Silent
from finetune.solve import PORTION, ridge, threads_for

RIDGES = tuple(10 ** (power / 2) for power in range(-6, 6))  # penalties of the screening
NEIGHBOURS = 10
FINALISTS = 2  # by each of the three ways to look at a place: their features go on to the kind of head that is kept


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where in a backbone features were read, and how good they are there: on the validation rows."""

    layer: int
    pooling: str
    error: float  # mean squared, of the best ridge
    ridge: float  # how good that is: the share of classes that it has right, or its correlation with values
    nearest: float  # and the neighbours


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A head of the kind that is kept."""

    layer: int
    pooling: str
    penalty: float
    loss: float  # mean, on the validation rows
    right: float  # how good, as of a place


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """All that was tried."""

    layers: int
    places: tuple[Place, ...]
    tried: tuple[Tried, ...]

    @property
    def best(self) -> Tried:
        """By validation loss, which tells more of few rows than how many are right."""
        return min(self.tried, key=lambda each: each.loss)

    @property
    def probes(self) -> int:
        return len(self.places) * (len(RIDGES) + 1) + len(self.tried)

    def to_json(self) -> dict[str, Any]:
        """What a record keeps of it: what was chosen, and from what."""
        return asdict(self.best) | {"probes": self.probes} | asdict(self)


def sweep(
    stored: Mapping[str, Mapping[str, Tensor]],
    examples: Mapping[str, Examples],
    objective: Objective,
    layer: int | None,
    penalties: Sequence[float],
    progress: Silent,
) -> Sweep:
    """Solve for a head at every place, and for the kind that is kept at the best of them.

    Args:
        stored: of `train` and `validation`, (L, N, E) for each pooling to try.
        layer: the only one to try; None: all.
    """
    count = len(next(iter(stored["train"].values())))
    tries = list(itertools.product(range(count) if layer is None else [layer], stored["train"]))
    progress.start("layers", len(tries), "place")
    places = []
    for number, pooling in tries:
        train, validation = _features(stored, examples, number, pooling)
        with threads_for(len(train)):
            places.append(_place(number, pooling, train, validation, objective))
        progress.advance(1)
    progress.end()
    tried, final = [], finalists(places)
    progress.start("heads", len(final), "place")
    for place in final:
        train, validation = _features(stored, examples, place.layer, place.pooling)
        tried += [_try(place, each, train, validation, objective) for each in penalties]
        progress.advance(1)
    progress.end()
    return Sweep(layers=count, places=tuple(places), tried=tuple(tried))


def finalists(places: Sequence[Place]) -> list[Place]:
    """The best by each measure: a squared error alone says little of whose classes are told apart, and the reverse."""
    orders = (lambda each: each.error, lambda each: -each.ridge, lambda each: -each.nearest)
    best = [place for order in orders for place in sorted(places, key=order)[:FINALISTS]]
    return list(dict.fromkeys(best))


def _features(
    stored: Mapping[str, Mapping[str, Tensor]], examples: Mapping[str, Examples], layer: int, pooling: str
) -> tuple[Features, Features]:
    train, validation = (Features(examples[part], stored[part][pooling][layer]) for part in ("train", "validation"))
    return train, validation


def _place(layer: int, pooling: str, train: Features, validation: Features, objective: Objective) -> Place:
    head = Head(train.features_NE, objective.outputs)
    known_N, wanted_N = torch.from_numpy(train.answers), torch.from_numpy(validation.answers)
    asked_NE = head.brought(validation.features_NE)
    weights_PCE, bias_C = ridge(train.features_NE, known_N, objective.wanted, RIDGES, head.brought)
    outputs_PNC = torch.einsum("ne,pce->pnc", asked_NE, weights_PCE) + bias_C
    error_P = (outputs_PNC - objective.wanted(wanted_N)).square().mean((1, 2))
    return Place(
        layer=layer,
        pooling=pooling,
        error=float(error_P.min()),
        ridge=objective.score(outputs_PNC[error_P.argmin()], wanted_N),
        nearest=objective.neighbours(
            train.features_NE[:PORTION],
            train.answers[:PORTION],
            validation.features_NE,
            validation.answers,
            NEIGHBOURS,
        ),
    )


@torch.no_grad()
def _try(place: Place, penalty: float, train: Features, validation: Features, objective: Objective) -> Tried:
    head, wanted_N = Head(train.features_NE, objective.outputs), torch.from_numpy(validation.answers)
    with torch.enable_grad():
        head.solve(objective, train, penalty, Silent())
    outputs_NC = head(validation.features_NE).logits
    return Tried(
        layer=place.layer,
        pooling=place.pooling,
        penalty=penalty,
        loss=objective.loss(outputs_NC, wanted_N),
        right=objective.score(outputs_NC, wanted_N),
    )
