"""What one can say to `finetune`: each file is a command, its name the word, its first line what `--help` says.

The modules of this folder are imported by every call, also by `--help`: what is slow to import is imported where it
is used.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from finetune import catalog
from finetune.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from finetune.engines import Engine
    from finetune.grid import Comparison
    from finetune.points import Points
    from finetune.progress import Silent
    from finetune.recipe import Recipe
    from finetune.report.tables import Table


METHODS = "frozen,lora,full"
LAYOUTS = ("method", "attention", "trial", "rate", "layer", "labels", "variance", "length")  # tables of the same runs
FORMATS = ("terminal", "markdown", "csv", "latex")  # the methods of a table that write it


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


def takes_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=FORMATS, default="terminal", help="of the table (default: terminal)")


def takes_seeds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=2, help="how many (default: 2)")


def takes_controls(parser: argparse.ArgumentParser, more: str = "") -> None:
    parser.add_argument(
        "--controls",
        action="store_true",
        help="also what is to be beaten: the majority's label, inputs without a backbone, backbones with random "
        f"weights, and shuffled labels{more}",
    )


def takes_save(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--save", metavar="NAME", help="also write the table as OUT/tables/NAME.md, .csv, .tex and .json"
    )


def check_save(given: Any) -> None:
    """
    Raises:
        InputError: --save was given something that names no table.
    """
    if given.save is not None and (not given.save.strip() or Path(given.save).name != given.save):
        raise InputError(f"--save takes a name, not a path, got {given.save!r}")


def takes_figure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--figure", metavar="FILE", help="also draw it as a .png or .svg")


def check_figure(given: Any) -> None:
    """
    Raises:
        InputError: --figure was given something that no picture is saved as.
    """
    if given.figure:
        from finetune.report import figures

        figures.check_ending(Path(given.figure))


def publish(points: Points, given: Any, name: str | None) -> None:
    """Print what was measured, and save it under a name and draw it, where that was asked for."""
    from finetune.report import records
    from finetune.report.studies import study

    table, folder = study(points), Path(given.out) / "tables"
    print(written(table, given.format))
    if name:
        table.save(folder, name)
        records.write([points], folder, name)
    if given.figure:
        from finetune.report import curves, figures

        figures.save(curves.studied(points), Path(given.figure))
        print(f"drawn: {given.figure}")


def takes_layout(parser: argparse.ArgumentParser, *more: tuple[str, str]) -> None:
    """What `layout` reads.

    Args:
        more: ways of the command's own, and what each is of.
    """
    takes_format(parser)
    others = "".join(f"; {name}: {what}" for name, what in more)
    parser.add_argument(
        "--by",
        choices=(*LAYOUTS, *(name for name, _ in more)),
        default="method",
        help="a recipe and method each, what training buys back of each attention, what was tried of each method, "
        "each learning rate (of tuned methods: what one for all would have said), each layer of a frozen backbone, the "
        "labels each method needs, what chance each score owes how much to, or how each does on sources of each length "
        "(default: "
        f"method){others}",
    )


def layout(given: Any) -> Callable[..., Table]:
    """What makes the table that was asked for of results."""
    from finetune.report.components import variances
    from finetune.report.labels import labels
    from finetune.report.layers import layers
    from finetune.report.lengths import lengths
    from finetune.report.recovery import recovery
    from finetune.report.responses import by_rate
    from finetune.report.tables import table
    from finetune.report.trials import trials

    made = (table, recovery, trials, by_rate, layers, labels, variances, lengths)
    return dict(zip(LAYOUTS, made, strict=True))[given.by]


def written(table: Table, form: str) -> str:
    """The table in one of FORMATS; where it is read on a screen, so wide as that is."""
    if form == "terminal" and sys.stdout.isatty():
        return table.terminal(shutil.get_terminal_size().columns)
    return getattr(table, form)()


def takes_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=_folder, default="outputs", help="folder of the run folders (default: outputs)")


def _folder(text: str) -> str:
    if not text.strip():  # to Python that is the current folder; nobody means it
        raise argparse.ArgumentTypeError(f"must name a folder, got {text!r}")
    return text


def takes_processes(parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup) -> None:
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="as many on this machine, on a GPU each where there are some, share every batch (default: this one, or as "
        "many as accelerate or torchrun started)",
    )


def takes_engine(parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup) -> None:
    """What `engine` reads."""
    parser.add_argument(
        "--on",
        default="here",
        metavar="ENGINE",
        help="compute the runs on ray, ray:ADDRESS, slurm or slurm:PARTITION, several at once, each from its snapshot "
        "where it was killed; what there is to set behind commas, as in slurm:gpu,gpus=1,minutes=120 (all: `finetune "
        "list engines`; default: here, one after the other)",
    )


def engine(given: Any) -> Engine:
    """The engine that --on names.

    Raises:
        InputError: there is none of that name, or it takes no such settings.
    """
    from finetune import axes, engines

    named, *settings = given.on.split(",")
    name, _, place = named.partition(":")
    return axes.find(engines, name.strip(), engines.Engine).at(place.strip(), settings)


def takes_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a name of `finetune list recipes`, or a .py file of yours")


def takes_variants(parser: argparse.ArgumentParser) -> None:
    """Recipes, and what of them: every method with every attention."""
    parser.add_argument(
        "recipes", metavar="RECIPE", nargs="+", help="names of `finetune list recipes`, or .py files of yours"
    )
    parser.add_argument(
        "--methods",
        default=METHODS,
        help=f"separated by commas (all: `finetune list methods`; default: {METHODS})",
    )
    parser.add_argument(
        "--attention",
        help="separated by commas: stock, multihead, sliding_window, … (all: `finetune list attentions`; default: "
        "each recipe's own)",
    )


def takes_method(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--method", help="frozen, lora, full, … (all: `finetune list methods`; default: the recipe's own)"
    )


def takes_attention(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--attention",
        help="stock, multihead, sliding_window, … (all: `finetune list attentions`; default: the recipe's own)",
    )


def takes_settings(parser: argparse.ArgumentParser, more: str = "") -> None:
    """The options that change a recipe; `more` is what the help of --set says at its end."""
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
        help=f"set any field of `finetune show`, for example --set method.rank=16{more}",
    )


def variant(name: str, method: str | None, attention: str | None) -> Recipe:
    """The recipe of that name, for a method, around an attention; None: the recipe's own."""
    found = catalog.load(name).of(method)
    if attention is None:
        return found
    from finetune.attention.swap import named

    return replace(found, attention=named(attention))


def variants(given: Any, progress: Silent) -> list[Recipe]:
    """Every variant of `takes_variants`, with the settings it has a field for.

    Raises:
        InputError: something is not known, or no method is named.
    """
    from finetune import grid

    methods = _listed(given.methods)
    if not methods:
        raise InputError(f"--methods names no method, got {given.methods!r}; for example --methods {METHODS}")
    attentions = _listed(given.attention) if given.attention else [None]
    found = [variant(*each) for each in itertools.product(given.recipes, methods, attentions)]
    return [capped(recipe, given) for recipe in grid.settle(found, given.settings, progress)]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def capped(recipe: Recipe, given: Any) -> Recipe:
    """The recipe with as many rows as were given."""
    split = recipe.split
    if given.rows is not None:
        split = replace(split, train_rows=given.rows)
    if given.test_rows is not None:
        split = replace(split, test_rows=given.test_rows)
    return replace(recipe, split=split)


def recipe(given: Any, name: str, method: str | None, attention: str | None) -> Recipe:
    """The variant with everything that was given; it has a field for each setting, or that is an error."""
    return capped(variant(name, method, attention).override(given.settings), given)


def where(comparison: Comparison, out: str) -> str:
    """How much is done, and in which folder."""
    done = len(comparison.results)
    return f"done: {done} of {done + len(comparison.failures)} runs, {comparison.before} of them before; see {out}"


def ending(comparison: Comparison) -> int:
    """The exit code, with a line for each run that failed: 2 where there are such, 1 where one came to no score."""
    for failure in comparison.failures:
        print(f"finetune: {failure.recipe.label}: {failure.reason}", file=sys.stderr)
    if comparison.failures:
        return 2
    return 0 if all(result.status == "done" for result in comparison.results) else 1


def progress() -> Silent:
    """Bars in the first process, silence in the others."""
    from finetune.progress import Bars, Silent

    return Bars() if first() else Silent()


def first() -> bool:
    """Whether this is the first of the processes of a launch; all of them run the same command."""
    return os.environ.get("RANK", "0") == "0"
