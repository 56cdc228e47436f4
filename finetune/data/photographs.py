"""Small squares of two photographs, each to be put back into its ninth: what a vision backbone knows of the world.

Scikit-learn ships the photographs, a Chinese temple and a flower (CC BY). No pixel is in train and in test.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from finetune.data import Data, Fetched, Rows, to_rows
from finetune.hashing import content_key, file_sha256
from finetune.progress import Silent

if TYPE_CHECKING:
    import datasets

NAMES = ("china", "flower")
SIDE = 24  # pixels of a square
ROWS, COLUMNS = 5, 8  # of squares in a ninth
NINTHS = [(across, down) for down in range(3) for across in range(3)]


@dataclass(frozen=True)
class Photographs(Data):
    """18 labels, 360 squares to learn from and 360 to be told: every second one, as on a chessboard."""

    def fetch(self, progress: Silent) -> Fetched:
        folder = Path(str(files("sklearn"))) / "datasets" / "images"
        sums = [file_sha256(folder / f"{name}.jpg") for name in NAMES]
        return Fetched(
            path=folder,
            sha256=content_key(*sums, SIDE, ROWS, COLUMNS),
            source={"package": f"scikit-learn=={version('scikit-learn')}"},
        )

    def load(self, fetched: Fetched) -> Rows:
        labels = tuple(f"{name} {across} {down}" for name in NAMES for across, down in NINTHS)
        pictures = {name: Image.open(fetched.path / f"{name}.jpg").convert("RGB") for name in NAMES}
        return Rows(train=_squares(pictures, 0, labels), test=_squares(pictures, 1, labels), labels=labels)


def _squares(pictures: dict[str, Image.Image], colour: int, labels: tuple[str, ...]) -> datasets.Dataset:
    """Those of one colour of the board."""
    import datasets

    found: dict[str, list[object]] = {"id": [], "image": [], "label": []}
    for name, picture in pictures.items():
        for row in range(3 * ROWS):
            for column in range((row + colour) % 2, 3 * COLUMNS, 2):
                left, top = column * SIDE, row * SIDE
                found["id"].append(f"{name}-{row:02d}-{column:02d}")
                found["image"].append(picture.crop((left, top, left + SIDE, top + SIDE)))
                found["label"].append(f"{name} {column // COLUMNS} {row // ROWS}")
    return to_rows(found, labels).cast_column("image", datasets.Image())
