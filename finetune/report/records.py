"""The records behind a saved table: enough to make it again, and to judge its rows, without a model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from finetune.errors import InputError, one_of
from finetune.outputs import read_json, write_text, writing
from finetune.points import Points
from finetune.result import Result
from finetune.shift import Shift

Record = TypeVar("Record", Result, Shift, Points)


def write(records: Iterable[Result | Shift | Points], folder: Path, name: str) -> None:
    """
    Raises:
        InputError: the folder cannot be written.
    """
    with writing(folder):
        write_text(folder / f"{name}.json", json.dumps([record.to_json() for record in records], indent=1) + "\n")


def read(folder: Path, name: str, kind: type[Record] = Result) -> list[Record]:
    """
    Args:
        kind: of the records: what they were made of.

    Raises:
        InputError: there is no such table, or its records cannot be read.
    """
    known = [path.stem for path in folder.glob("*.json")]
    if name not in known:
        raise one_of(f"table of {folder}", name, known)
    found = read_json(folder / f"{name}.json", "the command with --save that wrote it writes it again")
    if not isinstance(found, list):
        raise InputError(
            f"{folder / f'{name}.json'} holds no list of records; the command with --save that wrote it writes it again"
        )
    if kind is Result and any(isinstance(record, dict) and "result" in record for record in found):
        raise InputError(f"{name} was saved by `finetune elsewhere`; `finetune tables {name} --by elsewhere` prints it")
    return [_read(record, kind, f"{folder / f'{name}.json'}, record {n}") for n, record in enumerate(found, 1)]


def _read(record: Any, kind: type[Record], place: str) -> Record:
    try:
        return kind.from_json(record)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
