"""Tiny made-up rows, learnable in seconds: for tests, for documentation, and to see a new part move."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from finetune.data import Data, Fetched, Rows, to_pairs, to_rows, to_tagged
from finetune.hashing import content_key
from finetune.progress import Silent

if TYPE_CHECKING:
    import datasets

WORDS = {"animal": ("cat", "dog", "horse", "sheep"), "number": ("one", "two", "three", "four"), "sky": ("sun", "moon")}
COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
TAGS = ("O", "B-animal", "I-animal", "B-number", "I-number")


@dataclass(frozen=True, kw_only=True)
class ToyText(Data):
    """Sentences of three to twelve words, most of them of the class's own."""

    train: int = 60
    test: int = 30

    def fetch(self, progress: Silent) -> Fetched:
        return _made(self)

    def load(self, fetched: Fetched) -> Rows:
        labels = tuple(WORDS)
        return Rows(train=_texts("train", self.train, 0), test=_texts("test", self.test, 1), labels=labels)


@dataclass(frozen=True, kw_only=True)
class ToyImages(Data):
    """Noisy squares of one colour."""

    train: int = 60
    test: int = 30
    side: int = 16

    def fetch(self, progress: Silent) -> Fetched:
        return _made(self)

    def load(self, fetched: Fetched) -> Rows:
        parts = {"train": _images("train", self.train, self.side, 0), "test": _images("test", self.test, self.side, 1)}
        return Rows(train=parts["train"], test=parts["test"], labels=tuple(COLOURS))


@dataclass(frozen=True, kw_only=True)
class ToyPairs(Data):
    """Two to five words, and the same from the last to the first: no text twice, so none is in train and in test."""

    train: int = 60
    test: int = 30

    def fetch(self, progress: Silent) -> Fetched:
        return _made(self)

    def load(self, fetched: Fetched) -> Rows:
        every = [word for words in WORDS.values() for word in words]
        rng, texts = np.random.default_rng(0), dict[str, str]()
        while len(texts) < self.train + self.test:
            words = rng.choice(every, size=rng.integers(2, 6)).tolist()
            texts[" ".join(words)] = " ".join(reversed(words))
        pairs = list(texts.items())
        return Rows(train=_pairs(pairs[self.test :]), test=_pairs(pairs[: self.test]), labels=())


@dataclass(frozen=True, kw_only=True)
class ToyTags(Data):
    """Three to twelve words, with runs of animals and of numbers as spans; two animals with a hyphen are one word."""

    train: int = 60
    test: int = 30

    def fetch(self, progress: Silent) -> Fetched:
        return _made(self)

    def load(self, fetched: Fetched) -> Rows:
        parts = {"train": _tagged("train", self.train, 0), "test": _tagged("test", self.test, 1)}
        return Rows(train=parts["train"], test=parts["test"], labels=TAGS)


def _made(data: Data) -> Fetched:
    return Fetched(path=Path(), sha256=content_key(data))


def _pairs(pairs: list[tuple[str, str]]) -> datasets.Dataset:
    sources, targets = [source for source, _ in pairs], [target for _, target in pairs]
    return to_pairs({"id": [source.replace(" ", "-") for source in sources], "text": sources, "target": targets})


def _texts(part: str, count: int, seed: int) -> datasets.Dataset:
    rng = np.random.default_rng(seed)
    every = [word for words in WORDS.values() for word in words]
    labels = [list(WORDS)[number % len(WORDS)] for number in range(count)]
    texts = []
    for label in labels:
        own = rng.random(rng.integers(3, 13)) < 0.9
        texts.append(" ".join(str(rng.choice(WORDS[label] if mine else every)) for mine in own))
    return to_rows({"id": [f"{part}-{n}" for n in range(count)], "text": texts, "label": labels}, tuple(WORDS))


def _tagged(part: str, count: int, seed: int) -> datasets.Dataset:
    rng = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {"id": [f"{part}-{number}" for number in range(count)], "words": [], "tags": []}
    for _ in range(count):
        kinds = rng.choice(list(WORDS), size=rng.integers(3, 13)).tolist()
        pairs = [kind == "animal" and rng.random() < 0.2 for kind in kinds]
        words = [str(rng.choice(WORDS[kind])) + "-cat" * pair for kind, pair in zip(kinds, pairs, strict=True)]
        columns["words"].append(words)
        before = ["sky", *kinds[:-1]]
        tags = [f"{'I' if last == kind else 'B'}-{kind}" for last, kind in zip(before, kinds, strict=True)]
        columns["tags"].append([tag if tag in TAGS else "O" for tag in tags])
    return to_tagged(columns, TAGS, f"toy {part}")


def _images(part: str, count: int, side: int, seed: int) -> datasets.Dataset:
    import datasets

    rng = np.random.default_rng(seed)
    labels = [list(COLOURS)[number % len(COLOURS)] for number in range(count)]
    pixels = [np.clip(COLOURS[label] + rng.normal(0, 40, (side, side, 3)), 0, 255) for label in labels]
    images = [Image.fromarray(square.astype(np.uint8)) for square in pixels]
    columns = {"id": [f"{part}-{n}" for n in range(count)], "image": images, "label": labels}
    return to_rows(columns, tuple(COLOURS)).cast_column("image", datasets.Image())
