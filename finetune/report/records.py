"""The records behind a saved table: enough to make it again, and to judge its rows, without a model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from finetune.errors import InputError, one_of
from finetune.outputs import read_json, write_text, writing
from finetune.result import Result
from finetune.shift import Shift

Record = TypeVar("Record", Result, Shift)


def write(records: Iterable[Result | Shift], folder: Path, name: str) -> None:
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
    found = read_json(folder / f"{name}.json", f"the `finetune compare … --save {name}` that wrote it writes it again")
    if not isinstance(found, list):
        raise InputError(f"{folder / f'{name}.json'} holds no list of records; `finetune compare --save {name}` does")
    return [kind.from_json(record) for record in found]
