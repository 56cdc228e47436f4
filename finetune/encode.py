"""Rows → examples: what a model reads, made once for a data set and shared by every run on it.

N examples of a batch, T tokens of the longest among them, C channels, H and W pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from finetune.errors import InputError

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

    ids: Sequence[str]
    targets: np.ndarray  # -1 where nobody knows
    lengths: np.ndarray  # tokens of each example, as the model sees them: word pieces, or patches
    cut: Collection[int] = ()  # indices of the examples that were longer than what the model reads
    key: str = ""  # hash of everything the inputs were made from: rows, encoder and its settings

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    @property
    def positions(self) -> np.ndarray:
        """How many positions a forward pass computes for each example."""
        return self.lengths

    @property
    def truncated(self) -> int:
        return len(self.cut)

    @abstractmethod
    def batch(self, indices: np.ndarray) -> Batch: ...


class Texts(Examples):
    """Token ids of all examples, end to end in one array, so that a million rows cost their tokens and no more."""

    def __init__(self, rows: datasets.Dataset, tokenizer: Any, max_length: int, key: str) -> None:
        self.ids, self.targets, self.key = rows["id"][:], _targets(rows), key
        self.pad = int(tokenizer.pad_token_id)
        parts = [tokenize(tokenizer, rows[start : start + 1000], max_length) for start in range(0, len(rows), 1000)]
        self.cut = np.flatnonzero(np.concatenate([cut for _, cut in parts]))
        columns = {name: [ids for encoded, _ in parts for ids in encoded[name]] for name in parts[0][0]}
        self.lengths = np.array([len(ids) for ids in columns["input_ids"]])
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        flat = {name: np.concatenate(values).astype(np.int32) for name, values in columns.items()}
        # a column of zeros (token types of single texts) is what the model assumes when it is not given
        self.flat = {name: ids for name, ids in flat.items() if name == "input_ids" or ids.any()}
        self.largest = int(self.flat["input_ids"].max())

    def batch(self, indices: np.ndarray) -> Batch:
        longest = int(self.lengths[indices].max())
        inputs = {}
        for name, flat in self.flat.items():
            padded_NT = np.full((len(indices), longest), self.pad if name == "input_ids" else 0, dtype=np.int64)
            for row, index in enumerate(indices):
                padded_NT[row, : self.lengths[index]] = flat[self.offsets[index] : self.offsets[index + 1]]
            inputs[name] = torch.from_numpy(padded_NT)
        mask_NT = torch.from_numpy(np.arange(longest) < self.lengths[indices][:, None])
        inputs["attention_mask"] = mask_NT.long()
        return Batch(inputs=inputs, targets=torch.from_numpy(self.targets[indices]))


class Images(Examples):
    """Images, read and resized when a batch asks for them: a data set of pixels does not fit in memory."""

    def __init__(self, rows: datasets.Dataset, processor: Any, size: int | None, tokens: int, key: str) -> None:
        self.ids, self.targets, self.key = rows["id"][:], _targets(rows), key
        self.lengths = np.full(len(rows), tokens)
        self.rows, self.processor = rows, processor
        # `size` is what the model sees: no crop would be left of an image resized to it
        self.sizes = {"size": {"height": size, "width": size}, "do_center_crop": False} if size else {}

    def batch(self, indices: np.ndarray) -> Batch:
        images = [image.convert("RGB") for image in self.rows[indices.tolist()]["image"]]
        pixels_NCHW = self.processor(images, return_tensors="pt", **self.sizes)["pixel_values"]
        return Batch(inputs={"pixel_values": pixels_NCHW}, targets=torch.from_numpy(self.targets[indices]))


class Features(Examples):
    """Vectors that stand for the examples of another split: what a frozen backbone made of them."""

    def __init__(self, source: Examples, features_NE: Tensor) -> None:
        self.ids, self.targets, self.lengths = source.ids, source.targets, source.lengths
        self.cut, self.key = source.cut, source.key
        self.features_NE = features_NE

    @property
    def positions(self) -> np.ndarray:
        return np.ones(len(self), dtype=np.int64)  # whatever the backbone saw, a head reads one vector

    def batch(self, indices: np.ndarray) -> Batch:
        rows = torch.from_numpy(indices)
        return Batch(inputs={"features": self.features_NE[rows]}, targets=torch.from_numpy(self.targets[indices]))


def _targets(rows: datasets.Dataset) -> np.ndarray:
    return np.asarray(rows["label"][:]) if "label" in rows.column_names else np.full(len(rows), -1)


def side(processor: Any, wanted: int | None) -> int:
    """The side in pixels of the images a processor makes: as wanted, else by its own settings."""
    if wanted is not None:
        return wanted
    made = processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size
    return int(made.get("height") or made["shortest_edge"])


def tokenize(tokenizer: Any, rows: Mapping[str, Any], max_length: int) -> tuple[dict[str, list[list[int]]], list[bool]]:
    """Token ids (and token types, if the model has them) of each row, and which rows were cut.

    A text with no tokens at all, as an empty one is to a decoder, becomes one padding token: there must be one to read.
    """
    texts = (rows["text"], rows.get("text_pair"))
    options = {"return_attention_mask": False, "verbose": False}  # its warning says less than the count of what was cut
    encoded = tokenizer(*texts, truncation=False, **options)
    cut = [len(ids) > max_length for ids in encoded["input_ids"]]
    if any(cut):
        encoded = tokenizer(*texts, truncation=True, max_length=max_length, **options)
    nothing = {"input_ids": [tokenizer.pad_token_id]}
    return {name: [ids or nothing.get(name, [0]) for ids in values] for name, values in encoded.items()}, cut


def longest_text(tokenizer: Any, positions: int | None, wanted: int | None) -> int:
    """How many tokens of a text are read: what is wanted, and never more than the model has positions for.

    Raises:
        InputError: more are wanted than there are.
    """
    limits = [limit for limit in (positions, tokenizer.model_max_length) if limit and limit < 10**9]
    limit = min(limits, default=512)
    if wanted is not None and not 2 <= wanted <= limit:
        raise InputError(f"task.max_length must be between 2 and the model's {limit}, got {wanted}")
    return wanted or limit
