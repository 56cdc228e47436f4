"""score finished runs on rows from elsewhere, and tell what their backbones have forgotten"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import catalog, commands
from finetune.commands import Command
from finetune.errors import InputError

if TYPE_CHECKING:
    from finetune.data import Data
    from finetune.grid import Comparison
    from finetune.progress import Silent
    from finetune.recipe import Recipe
    from finetune.shift import Shift


class Elsewhere(Command):
    """Runs that are not done are made first, as `compare` makes them."""

    example = "finetune elsewhere vit_mnist --methods frozen,lora --seeds 2 --rows 320 --test-rows 400"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        commands.takes_variants(parser)
        commands.takes_seeds(parser)
        commands.takes_controls(parser)
        parser.add_argument(
            "--on",
            metavar="RECIPE",
            help="score on the rows of this recipe that have labels of the same names (default: those that the data "
            "set knows, if it knows any)",
        )
        parser.add_argument(
            "--reference",
            metavar="RECIPE",
            help="ask backbones about the rows of this recipe, before and after (default: 20 Newsgroups, or R8; of "
            "images, squares of photographs)",
        )
        commands.takes_format(parser)
        commands.takes_save(parser)
        commands.takes_out(parser)
        commands.takes_settings(parser, " (leaves variants without the field as they are)")

    def run(self, given: Any) -> int:
        from finetune import grid
        from finetune.controls import controls
        from finetune.report import records
        from finetune.report.shifts import shifts

        commands.check_save(given)
        on, reference = _data(given.on), _data(given.reference)
        progress = commands.progress()
        variants = commands.variants(given, progress)
        every = [*variants, *(controls(variants) if given.controls else [])]
        recipes = list(dict.fromkeys(grid.seeds(every, given.seeds)))
        _check(every, on, reference, progress)
        comparison = grid.compare(recipes, out=given.out, progress=progress)
        progress.say(commands.where(comparison, given.out))
        found, complaints = _measured(recipes, comparison, on, reference, progress)
        if commands.first():
            table = comparison.table(lambda _, failed: shifts(found, failed))
            print(commands.written(table, given.format))
            if given.save:
                folder = Path(given.out) / "tables"
                table.save(folder, given.save)
                records.write(found, folder, given.save)
        for complaint in complaints:
            print(f"finetune: {complaint}", file=sys.stderr)
        if complaints:
            return 2
        return 0 if all(shift.result.status == "done" for shift in found) else 1


def _data(name: str | None) -> Data | None:
    return None if name is None else catalog.load(name).recipe.data


def _check(recipes: list[Recipe], on: Data | None, reference: Data | None, progress: Silent) -> None:
    """
    Raises:
        InputError: what was named does not fit one of them.
    """
    from finetune.elsewhere import check
    from finetune.session import Shelf

    shelf = Shelf()
    for recipe in {(each.name, each.checkpoint, each.data): each for each in recipes}.values():
        check(recipe, on=on, reference=reference, progress=progress, shelf=shelf)


def _measured(
    recipes: list[Recipe], comparison: Comparison, on: Data | None, reference: Data | None, progress: Silent
) -> tuple[list[Shift], list[str]]:
    """Each run that there is, and what could not be done."""
    from finetune.elsewhere import shift
    from finetune.session import Shelf
    from finetune.shift import Shift

    failed, shelf = {failure.recipe for failure in comparison.failures}, Shelf()
    done = [recipe for recipe in recipes if recipe not in failed]
    found, complaints = [], [f"{failure.recipe.label}: {failure.reason}" for failure in comparison.failures]
    for number, (recipe, result) in enumerate(zip(done, comparison.results, strict=True), 1):
        progress.run(number, len(done), recipe.label)
        try:
            found.append(shift(recipe, result, on=on, reference=reference, progress=progress, shelf=shelf))
        except InputError as error:
            found.append(Shift(result=result))
            complaints.append(f"{recipe.label}: {error}")
    return found, complaints
