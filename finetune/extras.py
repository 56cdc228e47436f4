"""Libraries that only some parts need: imported when such a part is used, and asked for in one line where they lack."""

from __future__ import annotations

import importlib
from types import ModuleType

from finetune.errors import InputError

NOTES = "notes"  # the extra of pyproject.toml that most of them are in


def imported(name: str, wanted_by: str, extra: str = NOTES) -> ModuleType:
    """The module of a library of an extra.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise InputError(f'{wanted_by} needs the package {package!r}: pip install "finetune[{extra}]"') from error
