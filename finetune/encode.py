"""Rows → examples: what a model reads, made once for a data set and shared by every run on it.

N examples of a batch, T tokens of the longest among them, S words of the longest, E width.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finetune.augmentations import Augmentation, Tokens, generator
from finetune.hashing import content_key

NOTHING = -100  # a target that the loss leaves out, as torch calls it


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one forward pass reads, and what it should have said."""

    inputs: Mapping[str, Tensor]  # keyword arguments of the model
    targets: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """On a device, with real-valued inputs in the format the model computes in."""
        inputs = {
            name: value.to(device, dtype if value.is_floating_point() else None, non_blocking=True)
            for name, value in self.inputs.items()
        }
        return Batch(inputs=inputs, targets=self.targets.to(device, non_blocking=True))


class Examples(ABC):
    """Encoded rows of one split, in the order of the split."""

    targets: np.ndarray  # classes, -1 where nobody knows; or values; or texts; or of each word its class
    lengths: np.ndarray  # tokens of each example, as the model sees them: word pieces, or patches
    cut: Collection[int] = ()  # indices of the examples that were longer than what the model reads
    reached: np.ndarray | None = None  # the rows that they look up in a table of words; None: there is no such table
    measured: np.ndarray | None = None  # how long rows say that their sources are; None: they do not
    # of examples whose words are told one by one, at which token each of them is, -1 of one that was not read; None: an
    # example is told as a whole
    places: np.ndarray | None = None
    key: str = ""  # hash of everything the inputs were made from: rows, encoder and its settings

    def __len__(self) -> int:
        return len(self.targets)

    @property
    @abstractmethod
    def ids(self) -> Sequence[str]:
        """Of each example, its row's."""

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    @property
    def positions(self) -> np.ndarray:
        """How many positions a forward pass computes for each example."""
        return self.lengths

    @cached_property
    def vectors(self) -> np.ndarray:
        """How many vectors stand for each example where its backbone is frozen: one, or one for each word it read."""
        if self.places is None:
            return np.ones(len(self), dtype=np.int64)
        return np.array([int((each >= 0).sum()) for each in self.places], dtype=np.int64)

    @property
    def terms(self) -> np.ndarray:
        """How many terms of the loss each example has."""
        return self.vectors

    @property
    def answers(self) -> np.ndarray:
        """What is to be said of each of these vectors, example after example."""
        if self.places is None:
            return self.targets
        read = [known[places >= 0] for known, places in zip(self.targets, self.places, strict=True)]
        return np.concatenate([np.empty(0, dtype=np.int64), *read])

    @property
    def truncated(self) -> int:
        return len(self.cut)

    @abstractmethod
    def batch(self, indices: np.ndarray, multiple: int = 1) -> Batch:
        """These examples, padded to a length that is a multiple of a number, if what they are has a length at all."""

    def augmented(self, augmentation: Augmentation, tokens: Tokens | None) -> Examples:
        """The same, to be drawn anew in every epoch."""
        return Augmented(self, augmentation, tokens)

    def drawn(self, seed: int, epoch: int) -> Examples:
        """What an epoch trains on: these, unless they are drawn anew."""
        return self


class Features(Examples):
    """Vectors that stand for the examples of another split, or for their words: what a frozen backbone made of them.

    Args:
        features_NE: one for each example, in their order; of words one for each that was read, example after example.
    """

    def __init__(self, source: Examples, features_NE: Tensor) -> None:
        self.source = source
        self.targets, self.lengths, self.cut, self.key = source.targets, source.lengths, source.cut, source.key
        self.features_NE = features_NE
        if source.places is not None:
            read = [each >= 0 for each in source.places]
            self.places = objects([np.where(each, each.cumsum() - 1, -1) for each in read])
        self.ends = self.vectors.cumsum()

    @property
    def ids(self) -> Sequence[str]:
        return self.source.ids

    @property
    def positions(self) -> np.ndarray:
        return self.vectors  # whatever else the backbone saw

    def batch(self, indices: np.ndarray, multiple: int = 1) -> Batch:
        if self.places is not None:
            asked_NS2 = asked(self.places[indices], self.targets[indices])
            return Batch(inputs={"features": self._padded(indices)}, targets=asked_NS2)
        rows = torch.from_numpy(indices)
        return Batch(inputs={"features": self.features_NE[rows]}, targets=torch.from_numpy(self.targets[indices]))

    def _padded(self, indices: np.ndarray) -> Tensor:
        counts = self.vectors[indices]
        padded_NSE = torch.zeros(len(indices), max(1, int(counts.max())), self.features_NE.shape[1])
        for row, (end, count) in enumerate(zip(self.ends[indices].tolist(), counts.tolist(), strict=True)):
            padded_NSE[row, :count] = self.features_NE[end - count : end]
        return padded_NSE


class Subset(Examples):
    """Some of the examples of another split, by their indices there."""

    def __init__(self, source: Examples, chosen: np.ndarray) -> None:
        self.source, self.chosen = source, chosen
        self.targets, self.lengths, self.reached = source.targets[chosen], source.lengths[chosen], source.reached
        self.places = None if source.places is None else source.places[chosen]
        self.key = content_key(source.key, *chosen.tolist())

    @property
    def ids(self) -> Sequence[str]:
        names = self.source.ids
        return [names[int(index)] for index in self.chosen]

    @property
    def positions(self) -> np.ndarray:
        return self.source.positions[self.chosen]

    @property
    def terms(self) -> np.ndarray:
        return self.source.terms[self.chosen]

    def drawn(self, seed: int, epoch: int) -> Subset:
        return Subset(self.source.drawn(seed, epoch), self.chosen)

    def batch(self, indices: np.ndarray, multiple: int = 1) -> Batch:
        return self.source.batch(self.chosen[indices], multiple)


class Augmented(Examples):
    """The examples of another split as an augmentation draws them; as they are, until an epoch is asked for."""

    def __init__(self, source: Examples, augmentation: Augmentation, tokens: Tokens | None) -> None:
        self.source, self.augmentation, self.vocabulary = source, augmentation, tokens
        self.targets, self.lengths, self.cut = source.targets, source.lengths, source.cut
        self.places = source.places
        self.measured, self.key = source.measured, content_key(source.key, augmentation)
        if source.reached is not None and tokens is not None:
            self.reached = np.union1d(source.reached, [tokens.hidden])
        self.names = source.ids  # read once, whatever a split does to read them
        self.moment: tuple[int, int] | None = None  # seed and epoch

    @property
    def ids(self) -> Sequence[str]:
        return self.names

    @property
    def positions(self) -> np.ndarray:
        return self.source.positions

    @property
    def terms(self) -> np.ndarray:
        return self.source.terms

    def drawn(self, seed: int, epoch: int) -> Augmented:
        drawn = copy.copy(self)
        drawn.moment = seed, epoch
        return drawn

    def batch(self, indices: np.ndarray, multiple: int = 1) -> Batch:
        batch = self.source.batch(indices, multiple)
        if self.moment is None:
            return batch
        name = "pixel_values" if self.vocabulary is None else "input_ids"
        values = batch.inputs[name].clone()
        for row, index in enumerate(indices.tolist()):
            own = values[row] if self.vocabulary is None else values[row, : int(self.lengths[index])]
            own.copy_(self.augmentation.drawn(own, generator(*self.moment, self.names[int(index)]), self.vocabulary))
        return Batch(inputs={**batch.inputs, name: values}, targets=batch.targets)


def objects(items: Sequence[Any]) -> np.ndarray:
    """The items as an array of as many, whatever they are: numpy would look into those of one length."""
    found = np.empty(len(items), dtype=object)
    for number, item in enumerate(items):
        found[number] = item
    return found


def asked(places: Sequence[np.ndarray] | np.ndarray, classes: Sequence[np.ndarray] | np.ndarray) -> Tensor:
    """(N, S, 2): of each word the token that it is asked at, -1 where it was not read, and its class.

    Both are `NOTHING` where a sentence has no more words.
    """
    asked_NS2 = np.full((len(places), max(map(len, places)), 2), NOTHING, dtype=np.int64)
    for row, (where, known) in enumerate(zip(places, classes, strict=True)):
        asked_NS2[row, : len(where), 0], asked_NS2[row, : len(where), 1] = where, known
    return torch.from_numpy(asked_NS2)


def at(hidden_NTE: Tensor, asked_NS2: Tensor) -> Tensor:
    """(N, S, E): what there is at the token of each word; of one that was not read it is the first token's."""
    places_NS1 = asked_NS2[..., :1].clamp(min=0)
    return hidden_NTE.gather(1, places_NS1.expand(-1, -1, hidden_NTE.shape[-1]))
