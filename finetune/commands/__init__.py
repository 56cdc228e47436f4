"""What one can say to `finetune`: each file is a command, its name the word, its first line what `--help` says.

The modules of this folder are imported by every call, also by `--help`: what is slow to import is imported where it
is used.
"""

from __future__ import annotations

import argparse
import os
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from finetune import catalog

if TYPE_CHECKING:
    from finetune.progress import Silent
    from finetune.recipe import Recipe


class Command(ABC):
    """One word of the command line. The docstring of its module is its help."""

    example: ClassVar[str]  # a call that works, shown at the end of the help

    @abstractmethod
    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what the command takes."""

    @abstractmethod
    def run(self, given: Any) -> int:
        """Do it; returns the exit code: 0, or 1 where something did not succeed.

        Raises:
            InputError: something given cannot work: exit code 2.
        """


def takes_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=_folder, default="outputs", help="folder of the run folders (default: outputs)")


def _folder(text: str) -> str:
    if not text.strip():  # to Python that is the current folder; nobody means it
        raise argparse.ArgumentTypeError(f"must name a folder, got {text!r}")
    return text


def takes_attention(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--attention", help="stock, multihead, sliding_window, … (default: the recipe's own)")


def takes_settings(parser: argparse.ArgumentParser) -> None:
    """The options that change a recipe."""
    parser.add_argument(
        "--rows", type=int, help="cap on training rows; the rows of a small cap are among those of a larger"
    )
    parser.add_argument("--test-rows", type=int, help="cap on test rows")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        dest="settings",
        help="set any field, for example --set method.rank=16",
    )


def recipe(given: Any, name: str, method: str | None, attention: str | None) -> Recipe:
    """The recipe of that name, for a method, around an attention, with the settings that were given."""
    found = catalog.load(name).of(method)
    if attention is not None:
        from finetune.attention.swap import named

        found = replace(found, attention=named(attention))
    found = found.override(given.settings)
    split = found.split
    if given.rows is not None:
        split = replace(split, train_rows=given.rows)
    if given.test_rows is not None:
        split = replace(split, test_rows=given.test_rows)
    return replace(found, split=split)


def progress() -> Silent:
    """Bars in the first process, silence in the others."""
    from finetune.progress import Bars, Silent

    return Bars() if first() else Silent()


def first() -> bool:
    """Whether this is the first of the processes of a launch; all of them run the same command."""
    return os.environ.get("RANK", "0") == "0"
