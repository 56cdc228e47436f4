"""Rows → examples: what a model reads, made once for a data set and shared by every run on it.

N examples of a batch, T tokens of the longest among them, C channels, H and W pixels.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from finetune.augmentations import Augmentation, Tokens, generator
from finetune.data import targets
from finetune.hashing import content_key

if TYPE_CHECKING:
    import datasets


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

    targets: np.ndarray  # classes, -1 where nobody knows; or values; or texts
    lengths: np.ndarray  # tokens of each example, as the model sees them: word pieces, or patches
    cut: Collection[int] = ()  # indices of the examples that were longer than what the model reads
    reached: np.ndarray | None = None  # the rows that they look up in a table of words; None: there is no such table
    measured: np.ndarray | None = None  # how long rows say that their sources are; None: they do not
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

    @property
    def terms(self) -> np.ndarray:
        """How many terms of the loss each example has."""
        return np.ones(len(self), dtype=np.int64)

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


class Images(Examples):
    """Images, read and resized when a batch asks for them: a data set of pixels does not fit in memory."""

    def __init__(self, rows: datasets.Dataset, processor: Any, size: int | None, tokens: int, key: str) -> None:
        self.targets, self.key = targets(rows), key
        self.lengths = np.full(len(rows), tokens)
        self.rows, self.processor = rows, processor
        # `size` is what the model sees: no crop would be left of an image resized to it
        self.sizes = {"size": {"height": size, "width": size}, "do_center_crop": False} if size else {}

    @property
    def ids(self) -> Sequence[str]:
        return self.rows["id"][:]

    def batch(self, indices: np.ndarray, multiple: int = 1) -> Batch:
        images = [image.convert("RGB") for image in self.rows[indices.tolist()]["image"]]
        pixels_NCHW = self.processor(images, return_tensors="pt", **self.sizes)["pixel_values"]
        return Batch(inputs={"pixel_values": pixels_NCHW}, targets=torch.from_numpy(self.targets[indices]))


class Features(Examples):
    """Vectors that stand for the examples of another split: what a frozen backbone made of them."""

    def __init__(self, source: Examples, features_NE: Tensor) -> None:
        self.source = source
        self.targets, self.lengths, self.cut, self.key = source.targets, source.lengths, source.cut, source.key
        self.features_NE = features_NE

    @property
    def ids(self) -> Sequence[str]:
        return self.source.ids

    @property
    def positions(self) -> np.ndarray:
        return np.ones(len(self), dtype=np.int64)  # whatever the backbone saw, a head reads one vector

    def batch(self, indices: np.ndarray, multiple: int = 1) -> Batch:
        rows = torch.from_numpy(indices)
        return Batch(inputs={"features": self.features_NE[rows]}, targets=torch.from_numpy(self.targets[indices]))


class Subset(Examples):
    """Some of the examples of another split, by their indices there."""

    def __init__(self, source: Examples, chosen: np.ndarray) -> None:
        self.source, self.chosen = source, chosen
        self.targets, self.lengths, self.reached = source.targets[chosen], source.lengths[chosen], source.reached
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


def side(processor: Any, wanted: int | None) -> int:
    """The side in pixels of the images a processor makes: as wanted, else by its own settings."""
    if wanted is not None:
        return wanted
    made = processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size
    return int(made.get("height") or made["shortest_edge"])
