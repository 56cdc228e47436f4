"""Sentences of words as token ids on disk, and at which token each word is told its tag.

Words are read with a space between each two, so that a tokenizer makes of them what it makes of text.

N examples of a batch, T tokens of the longest among them, S words of the longest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.cache import ENCODED, keeping, kept_dir
from finetune.data import PORTION, check_words
from finetune.encode import Batch, Examples, asked, objects
from finetune.errors import InputError
from finetune.hashing import content_key
from finetune.texts import Texts, texts

if TYPE_CHECKING:
    import datasets

FORMAT = 1  # counts up when what is stored changes
WORD = "word"  # column of tokens: which word begins with it, counted from 1; 0: none
COUNTS, TAGS = "counts.npy", "tags.npy"  # the second is written last


class Pieces:
    """A tokenizer as it reads words: it also tells of each token which word begins with it."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def __call__(self, given: Sequence[Sequence[str]], _: None = None, **options: Any) -> dict[str, list[list[int]]]:
        joined = [" ".join(words) for words in given]
        encoded = dict(self.tokenizer(joined, return_offsets_mapping=True, **options))
        offsets = encoded.pop("offset_mapping")
        return {**encoded, WORD: [begun(*each) for each in zip(given, offsets, strict=True)]}


def begun(words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[int]:
    """Which word begins with each token, counted from 1, of words that stand in a text with a space between each two.

    A word begins with the first token that has a letter of it; tokens within a word, and those that a tokenizer adds,
    begin none (0).

    Args:
        offsets: where each token begins in the text, and where it ends.
    """
    ends = list(itertools.accumulate((len(word) + 1 for word in words), initial=-1))[1:]
    found, word = [0] * len(offsets), 0
    for number, (begin, end) in enumerate(offsets):
        while word < len(words) and ends[word] <= begin < end:  # nothing was made of it
            word += 1
        if word < len(words) and ends[word] - len(words[word]) < end and begin < end:
            found[number] = word = word + 1
    return found


class Words(Examples):
    """Token ids of sentences; targets and outputs are numbers of tags, as many as a sentence has words."""

    def __init__(self, source: Texts, tags: np.ndarray) -> None:
        self.source, self.targets = source, tags
        self.lengths, self.cut, self.reached = source.lengths, source.cut, source.reached
        self.places = _places(source, tags)
        self.key = content_key(source.key, TAGS)

    @property
    def ids(self) -> Sequence[str]:
        return self.source.ids

    def batch(self, indices: np.ndarray, multiple: int = 1) -> Batch:
        assert self.places is not None
        inputs = dict(self.source.batch(indices, multiple).inputs)
        del inputs[WORD]
        return Batch(inputs=inputs, targets=asked(self.places[indices], self.targets[indices]))


def encoded(rows: Callable[[], datasets.Dataset], tokenizer: Any, length: int, key: str) -> Words:
    """Rows with words as token ids, and their tags, -1 where nobody knows: as `texts`, once for all runs.

    Raises:
        InputError: a row has no words, or not as many tags; or not one word is read.
    """

    def read() -> datasets.Dataset:
        return rows().select_columns(["id", "words"]).rename_column("words", "text")

    def named(part: str) -> str:
        return content_key(FORMAT, key, part) if key else ""

    tags = _tags(rows, named(TAGS))  # first: it looks at every row
    return Words(texts(read, Pieces(tokenizer), length, named(WORD)), tags)


def _tags(rows: Callable[[], datasets.Dataset], key: str) -> np.ndarray:
    """Of each row as many numbers as it has words."""
    if not key:
        return _divided(*_looked_through(rows()))
    folder = kept_dir(ENCODED) / key
    if not (folder / TAGS).is_file():
        with keeping(folder) as scratch:
            _write(scratch, *_looked_through(rows()))
    return _divided(np.load(folder / COUNTS), np.load(folder / TAGS))


def _write(folder: Path, counts: np.ndarray, tags: np.ndarray) -> None:
    np.save(folder / COUNTS, counts)
    np.save(folder / TAGS, tags)


def _looked_through(rows: datasets.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """How many words each row has, and all tags end to end; a portion at a time."""
    counts: list[int] = []
    tags: list[np.ndarray] = []
    for start in range(0, len(rows), PORTION):
        portion = rows[start : start + PORTION]
        known = portion.get("tags") or [[-1] * len(words) for words in portion["words"]]
        for id_, words, own in zip(portion["id"], portion["words"], known, strict=True):
            check_words(words, own, f"row {id_!r}")
        counts += map(len, known)
        tags.append(np.array(list(itertools.chain.from_iterable(known)), dtype=np.int32))
    return np.array(counts, dtype=np.int32), np.concatenate([np.empty(0, dtype=np.int32), *tags])


def _divided(counts: np.ndarray, flat: np.ndarray) -> np.ndarray:
    return objects(np.split(flat.astype(np.int64), counts.cumsum()[:-1]))


def _places(source: Texts, tags: np.ndarray) -> np.ndarray:
    """At which token each word of each example is, -1 of one that was cut off, or of which the tokenizer made nothing.

    Raises:
        InputError: that is all of them.
    """
    if WORD not in source.columns:
        raise InputError(
            f"not one word of {len(tags)} rows is read: task.max_length must leave room for some, got "
            f"{source.max_length} tokens"
        )
    words = np.fromfile(source.folder / WORD, dtype=np.int32)
    begins = source.ends - source.lengths
    counts = np.array([len(each) for each in tags], dtype=np.int64)
    first, row = counts.cumsum() - counts, np.repeat(np.arange(len(tags)), source.lengths)
    (tokens,) = words.nonzero()
    places = np.full(int(counts.sum()), -1, dtype=np.int64)
    places[first[row[tokens]] + words[tokens] - 1] = tokens - begins[row[tokens]]
    return _divided(counts, places)
