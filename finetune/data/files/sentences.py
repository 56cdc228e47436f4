"""A file of sentences — JSON or Parquet —, each a list of words with a list of as many tags."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.data import Rows, check_words, class_names, to_tagged
from finetune.data.files import tables
from finetune.errors import InputError
from finetune.hashing import content_key


def rows(paths: Mapping[str, Path], columns: Mapping[str, str]) -> Rows:
    """Of the files by split; tags are numbered by name, and those of train are all there are.

    Args:
        columns: our name of a column → the file's; `words`, `tags`, and perhaps `id` and `group`.

    Raises:
        InputError: a column is missing, or a row has no words, or not as many tags, or one that train does not have.
    """
    read = {part: _read(path, columns) for part, path in paths.items()}
    labels = class_names(itertools.chain.from_iterable(read["train"]["tags"]), str(paths["train"]))
    made = {part: to_tagged(each, labels, str(paths[part])) for part, each in read.items()}
    return Rows(train=made["train"], test=made.get("test"), labels=labels)


def _read(path: Path, columns: Mapping[str, str]) -> dict[str, list[Any]]:
    table = tables.read(path, None, columns)
    found = {name: table[column][:] for name, column in columns.items()}
    for number, pair in enumerate(zip(found["words"], found["tags"], strict=True), 1):
        for name, given in zip(("words", "tags"), pair, strict=True):
            if not isinstance(given, list):
                raise InputError(f"{path}: row {number}: column {columns[name]!r} must hold a list, got {given!r:.100}")
        check_words(*pair, f"{path}: row {number}")
    words, tags = ([list(map(str, each)) for each in found[name]] for name in ("words", "tags"))
    if None in found.get("group", ()):
        raise InputError(f"{path}: column {columns['group']!r} is empty in row {found['group'].index(None) + 1}")
    groups = {name: list(map(str, found[name])) for name in ("group",) if name in found}
    ids = list(map(str, found["id"])) if "id" in found else _ids(words, tags)
    twice = next((id_ for id_, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"{path}: column {columns['id']!r} must be unique, {twice!r} occurs more than once")
    return {"id": ids, "words": words, "tags": tags, **groups}


def _ids(words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> list[str]:
    """A hash of each row's content; the second and later of equal rows are numbered."""
    seen, found = Counter[str](), []
    for each in zip(words, tags, strict=True):
        key = content_key(*each)[:16]
        found.append(f"{key}-{seen[key]}" if seen[key] else key)
        seen[key] += 1
    return found
