"""The records behind a saved table: enough to make it again, and to judge its rows, without a model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from finetune.errors import InputError, one_of
from finetune.outputs import read_json, write_text, writing
from finetune.result import Result


def write(results: Iterable[Result], folder: Path, name: str) -> None:
    """
    Raises:
        InputError: the folder cannot be written.
    """
    with writing(folder):
        write_text(folder / f"{name}.json", json.dumps([result.to_json() for result in results], indent=1) + "\n")


def read(folder: Path, name: str) -> list[Result]:
    """
    Raises:
        InputError: there is no such table, or its records cannot be read.
    """
    known = [path.stem for path in folder.glob("*.json")]
    if name not in known:
        raise one_of(f"table of {folder}", name, known)
    found = read_json(folder / f"{name}.json", f"the `finetune compare … --save {name}` that wrote it writes it again")
    if not isinstance(found, list):
        raise InputError(f"{folder / f'{name}.json'} holds no list of records; `finetune compare --save {name}` does")
    return [Result.from_json(record) for record in found]
