"""Images as pixels: read and resized when a batch asks for them.

N examples of a batch, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from finetune.data import targets
from finetune.encode import Batch, Examples

if TYPE_CHECKING:
    import datasets


class Images(Examples):
    """Rows of images; a data set of pixels does not fit in memory."""

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


def side(processor: Any, wanted: int | None) -> int:
    """The side in pixels of the images a processor makes: as wanted, else by its own settings."""
    if wanted is not None:
        return wanted
    made = processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size
    return int(made.get("height") or made["shortest_edge"])
