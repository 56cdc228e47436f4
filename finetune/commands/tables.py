"""print saved tables again, from their records and without a model"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError, one_of

if TYPE_CHECKING:
    from finetune.result import Result


class Tables(Command):
    """A recipe that failed left no record, so its row of dashes is not made again."""

    example = "finetune tables compare --format latex"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", metavar="NAME", nargs="+", help="what `compare --save NAME` wrote")
        parser.add_argument(
            "--save", action="store_true", help="also write OUT/tables/NAME.md, .csv and .tex again, from NAME.json"
        )
        commands.takes_format(parser)
        commands.takes_out(parser)

    def run(self, given: Any) -> int:
        table = commands.layout(given)
        folder = Path(given.out) / "tables"
        tables = {name: table(_records(folder, name)) for name in given.names}
        for number, (name, made) in enumerate(tables.items()):
            print("\n" * bool(number) + getattr(made, given.format)())
            if given.save:
                made.save(folder, name)
        return 0


def _records(folder: Path, name: str) -> list[Result]:
    """
    Raises:
        InputError: there is no such table, or its records cannot be read.
    """
    from finetune.outputs import read_json
    from finetune.result import Result

    known = [path.stem for path in folder.glob("*.json")]
    if name not in known:
        raise one_of(f"table of {folder}", name, known)
    records = read_json(folder / f"{name}.json")
    if not isinstance(records, list):
        raise InputError(f"{folder / f'{name}.json'} holds no list of records; `finetune compare --save {name}` does")
    return [Result.from_json(record) for record in records]
