"""A folder of images with a sub-folder for each class, every image of it decoded once before anything is trained."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from finetune.cache import cache_dir
from finetune.errors import InputError
from finetune.hashing import content_key, file_sha256

ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def columns(folder: Path) -> dict[str, Sequence[Any]]:
    """Of its images. An image's id is its path in the folder.

    Raises:
        InputError: there is no image, or one that cannot be read.
    """
    paths = _paths(folder)
    _check_readable(paths, cache_dir() / "checked" / folder_sha256(folder))
    return {
        "id": [path.relative_to(folder).as_posix() for path in paths],
        "image": [str(path) for path in paths],
        "label": [path.relative_to(folder).parts[0] for path in paths],
    }


def folder_sha256(folder: Path) -> str:
    """Of the images and their places."""
    paths = _paths(folder)
    return content_key(*(f"{path.relative_to(folder).as_posix()}:{file_sha256(path)}" for path in paths))


def _paths(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.glob("*/**/*") if path.suffix.lower() in ENDINGS)
    if not paths:
        raise InputError(f"{folder} holds no images in sub-folders; expected {folder}/<class>/<image>.png")
    return paths


def _check_readable(paths: Sequence[Path], checked: Path) -> None:
    """Decode every image once, before training starts: a truncated file shows nowhere else."""
    if checked.exists():
        return
    for path in paths:
        with decoding(str(path)), Image.open(path) as image:
            image.load()
    checked.parent.mkdir(parents=True, exist_ok=True)
    checked.touch()


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turns what is wrong with an image into one line that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (OSError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name} is not a readable image: {' '.join(str(error).split())}") from error
