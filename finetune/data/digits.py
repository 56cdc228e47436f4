"""Handwritten digits as scikit-learn ships them: 1797 images of 8 × 8 pixels, written by other hands than MNIST's."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from finetune.data import Data, Fetched, Rows, to_rows
from finetune.hashing import file_sha256
from finetune.progress import Silent

SIDE = 8
INK = 16  # the darkest a pixel can be; white on black, as in MNIST


@dataclass(frozen=True)
class Digits(Data):
    """The test part of UCI's optical digits; there is no test set but the one cut from it."""

    def fetch(self, progress: Silent) -> Fetched:
        path = Path(str(files("sklearn"))) / "datasets" / "data" / "digits.csv.gz"
        return Fetched(
            path=path, sha256=file_sha256(path), source={"package": f"scikit-learn=={version('scikit-learn')}"}
        )

    def load(self, fetched: Fetched) -> Rows:
        import datasets

        table = np.loadtxt(fetched.path, delimiter=",")
        pixels_NHW = np.round(table[:, :-1] * (255 / INK)).astype(np.uint8).reshape(-1, SIDE, SIDE)
        labels = tuple("0123456789")
        columns = {
            "id": [f"row-{number:04d}" for number in range(len(table))],
            "image": [Image.fromarray(pixels_HW) for pixels_HW in pixels_NHW],
            "label": [str(int(digit)) for digit in table[:, -1]],
        }
        rows = to_rows(columns, labels).cast_column("image", datasets.Image())
        return Rows(train=rows, test=None, labels=labels)
