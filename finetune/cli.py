"""The command line; with progress.py the only module that prints."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from finetune import catalog
from finetune.errors import InputError

if TYPE_CHECKING:
    from finetune.grid import Comparison
    from finetune.progress import Silent
    from finetune.recipe import Recipe

METHODS = "frozen,lora,full"
FORMATS = ("terminal", "markdown", "csv", "latex")


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line with the nearest word that would have been right."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '([^']+)'|unrecognized arguments: (\S+)", message)
        near = difflib.get_close_matches(wrong[1] or wrong[2], self._words(), n=1) if wrong else []
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{message}{hint}; see {self.prog} --help")

    def _words(self) -> set[str]:
        """Every option and every choice, of the commands below too."""
        found: set[str] = set()
        for action in self._actions:
            found |= {*action.option_strings, *map(str, action.choices or ())}
            if isinstance(action.choices, dict):
                found |= {word for below in action.choices.values() for word in below._words()}
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 where something did not succeed, 2 for bad input."""
    try:
        given = parser().parse_args(arguments)
        return given.command(given)
    except InputError as error:
        print(f"finetune: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("finetune: stopped; runs that were done stay done", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def launch(file: str) -> NoReturn:
    """A recipe file as a program: `accelerate launch recipes/bert_r8.py --method full`."""
    raise SystemExit(main(["run", file, *sys.argv[1:]]))


def parser() -> Parser:
    top = Parser(
        prog="finetune",
        description="Frozen backbone, LoRA or full fine-tuning? Measured on your checkpoint, data and hardware.",
        epilog="example: finetune compare bert_r8 --rows 600 --seeds 2",
        allow_abbrev=False,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def command(name: str, does: Callable[[Any], int], text: str, example: str) -> Parser:
        one = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example: {example}",
            allow_abbrev=False,
        )
        one.set_defaults(command=does)
        return one

    run = command("run", _run, "run one recipe", "finetune run bert_r8 --method lora --seed 1 --set method.rank=16")
    run.add_argument("recipe", metavar="RECIPE", help="a name of `finetune list`, or a .py file of yours")
    run.add_argument("--method", help="frozen, lora, full, … (default: the recipe's own)")
    run.add_argument("--seed", type=int, help="of the head's first weights, batches and dropout")
    _shared(run)

    compare = command(
        "compare",
        _compare,
        "run recipes with several methods and seeds, and print the table",
        "finetune compare bert_r8 gpt_reviews --methods frozen,lora,full --seeds 3 --rows 600",
    )
    compare.add_argument("recipes", metavar="RECIPE", nargs="+", help="names of `finetune list`, or .py files of yours")
    compare.add_argument("--methods", default=METHODS, help=f"separated by commas (default: {METHODS})")
    compare.add_argument("--seeds", type=int, default=2, help="how many (default: 2)")
    compare.add_argument("--format", choices=FORMATS, default="terminal", help="of the table (default: terminal)")
    compare.add_argument(
        "--save", metavar="NAME", help="also write the table as OUT/tables/NAME.md, .csv, .tex and .json"
    )
    _shared(compare)

    command("list", _list, "list the recipes", "finetune list")
    show = command("show", _show, "show a recipe with all defaults, as JSON", "finetune show bert_r8 --method lora")
    show.add_argument("recipe", metavar="RECIPE")
    show.add_argument("--method")
    _settings(show)

    assets = command(
        "assets",
        _assets,
        "list, fetch, verify or remove the packaged checkpoints and data",
        "finetune assets fetch minilm-l6 reuters-r8",
    )
    assets.add_argument("action", nargs="?", choices=("list", "fetch", "verify", "remove"), default="list")
    assets.add_argument("names", metavar="NAME", nargs="*", help="default: all (remove: must be named)")

    pin = command(
        "pin", _pin, "look up the commits of the hub recipes and write them into recipes/pins.json", "finetune pin"
    )
    pin.add_argument("names", metavar="RECIPE", nargs="*", help="default: every recipe that names a hub repository")
    return top


def _shared(command: Parser) -> None:
    command.add_argument("--out", default="outputs", help="folder of the run folders (default: outputs)")
    _settings(command)


def _settings(command: Parser) -> None:
    command.add_argument(
        "--rows", type=int, help="cap on training rows; the rows of a small cap are among those of a larger"
    )
    command.add_argument("--test-rows", type=int, help="cap on test rows")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        dest="settings",
        help="set any field, for example --set method.rank=16",
    )


def _recipe(given: Any, name: str, method: str | None) -> Recipe:
    recipe = catalog.load(name).of(method).override(given.settings)
    split = recipe.split
    if given.rows is not None:
        split = replace(split, train_rows=given.rows)
    if given.test_rows is not None:
        split = replace(split, test_rows=given.test_rows)
    return replace(recipe, split=split)


def _run(given: Any) -> int:
    from finetune.report.tables import table
    from finetune.session import run

    recipe = _recipe(given, given.recipe, given.method)
    if given.seed is not None:
        recipe = replace(recipe, seed=given.seed)
    progress = _progress()
    progress.run(1, 1, f"{recipe.name} {recipe.method_name} seed {recipe.seed}")
    result = run(recipe, out=given.out, progress=progress)
    _print_once(table([result]).terminal())
    return 0 if result.status == "done" else 1


def _compare(given: Any) -> int:
    from finetune import grid

    methods = [method.strip() for method in given.methods.split(",") if method.strip()]
    if not methods:
        raise InputError(f"--methods names no method, got {given.methods!r}; for example --methods {METHODS}")
    if given.save and Path(given.save).name != given.save:
        raise InputError(f"--save takes a name, not a path, got {given.save!r}")
    recipes = [_recipe(given, name, method) for name in given.recipes for method in methods]
    comparison = grid.compare(grid.seeds(recipes, given.seeds), out=given.out, progress=_progress())
    _print_once(getattr(comparison.table(), given.format)())
    if given.save and _first():
        _save(comparison, Path(given.out) / "tables", given.save)
    for failure in comparison.failures:
        print(f"finetune: {failure.recipe.name} {failure.recipe.method_name}: {failure.reason}", file=sys.stderr)
    if comparison.failures:
        return 2
    return 0 if all(result.status == "done" for result in comparison.results) else 1


def _save(comparison: Comparison, folder: Path, name: str) -> None:
    """The table in every format that is kept, and the records behind it."""
    from finetune.outputs import write_text, writing

    table = comparison.table()
    records = json.dumps([result.to_json() for result in comparison.results], indent=1)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for ending, text in (("md", table.markdown()), ("csv", table.csv()), ("tex", table.latex()), ("json", records)):
            write_text(folder / f"{name}.{ending}", text + "\n")


def _list(_: Any) -> int:
    summaries = catalog.summaries()
    width = max(map(len, summaries))
    for name, summary in summaries.items():
        print(f"{name:<{width}}  {summary}")
    return 0


def _show(given: Any) -> int:
    print(json.dumps(_recipe(given, given.recipe, given.method).to_json(), indent=2))
    return 0


def _assets(given: Any) -> int:
    from finetune import assets, packaged

    known = [assets.asset(name) for name in given.names] or [*assets.CHECKPOINTS, *assets.DATA]
    if given.action == "remove" and not given.names:
        raise InputError("finetune assets remove needs the names of what to remove")
    wrong = 0
    for asset in known:
        state = "here" if packaged.here(asset) else "not fetched"
        if given.action == "fetch":
            state = str(packaged.fetch(asset, lambda text: print(text, file=sys.stderr)))
        elif given.action == "remove":
            packaged.remove(asset)
            state = "removed"
        elif given.action == "verify" and (packaged.here(asset) or given.names):
            complaints = packaged.verify(asset)
            wrong += len(complaints)
            state = "; ".join(complaints) or "as pinned"
        print(f"{asset.name:<14} {asset.kind:<10} {asset.wheel.megabytes:>3} MB  {state}")
    return 1 if wrong else 0


def _pin(given: Any) -> int:
    from finetune import hub
    from finetune.outputs import write_text, writing
    from recipes import PINS

    wanted = sorted(
        {key for name in given.names or catalog.summaries() for key in _repositories(catalog.load(name).recipe)}
    )
    pins = json.loads(PINS.read_text(encoding="utf-8"))
    for id_, kind in wanted:
        pins[id_] = hub.commit(id_, kind, None)
        print(f"{id_} {pins[id_]}")
    with writing(PINS):
        write_text(PINS, json.dumps(dict(sorted(pins.items())), indent=2) + "\n")
    return 0


def _repositories(recipe: Recipe) -> list[tuple[str, Literal["model", "dataset"]]]:
    from finetune.checkpoint import Hub
    from finetune.data.hub_dataset import HubDataset

    parts = ((recipe.checkpoint, Hub, "model"), (recipe.data, HubDataset, "dataset"))
    return [(part.id, kind) for part, contract, kind in parts if isinstance(part, contract)]  # pyright: ignore


def _progress() -> Silent:
    """Bars in the first process, silence in the others."""
    from finetune.progress import Bars, Silent

    return Bars() if _first() else Silent()


def _first() -> bool:
    """Whether this is the first of the processes of a launch; all of them run the same command."""
    return os.environ.get("RANK", "0") == "0"


def _print_once(text: str) -> None:
    if _first():
        print(text)
