"""What there is to choose from, and recipes and benchmark tables by name or by file; listing imports none of it."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.errors import InputError, missing, one_of
from finetune.parts import hints, named

if TYPE_CHECKING:
    from types import ModuleType

    from finetune.benchmark import Benchmark, BenchmarkTable
    from finetune.recipe import Recipe


SECTIONS = ("recipes", "methods", "attentions", "augmentations", "data", "tasks", "tables", "studies", "engines")


def section(name: str) -> dict[str, str]:
    """What there is of one of SECTIONS: names, and the first lines of their docstrings."""
    if name == "recipes":
        return summaries()
    if name == "tables":
        return _folder_summaries(_folder() / name)
    folder = Path(__file__).parent
    if name != "attentions":
        return _axis_summaries(folder / name)
    # as `attention.swap.names`, which would import torch
    cores = _folder_summaries(folder / "attention" / "cores")
    ours = _summary(folder / "attention" / "multihead.py")
    del cores["scaled_dot_product"]
    return {"stock": "The checkpoint's own attention", "multihead": ours} | cores


def summaries() -> dict[str, str]:
    """The shipped recipes' names and the first lines of their docstrings."""
    return _folder_summaries(_folder())


def _folder() -> Path:
    import recipes

    return Path(next(iter(recipes.__path__)))


def _folder_summaries(folder: Path) -> dict[str, str]:
    return {path.stem: _summary(path) for path in sorted(folder.glob("*.py")) if path.stem != "__init__"}


def _axis_summaries(folder: Path) -> dict[str, str]:
    """An alternative that has files of its own is a folder."""
    of_folders = {path.parent.name: _summary(path) for path in folder.glob("*/__init__.py")}
    return dict(sorted((_folder_summaries(folder) | of_folders).items()))


def _summary(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


@dataclass(frozen=True)
class Entry:
    """A recipe module: its `recipe`, and variants of it for methods that want other settings."""

    recipe: Recipe
    variants: Mapping[str, Recipe]  # by method name

    def of(self, method: str | None) -> Recipe:
        """The recipe for a method: the module's own variant, else the recipe with the method at its defaults.

        Raises:
            InputError: there is no such method.
        """
        from finetune import axes, methods

        if method is None:
            return self.recipe
        if method not in self.variants:
            default = axes.find(methods, method, methods.Method)()  # pyright: ignore[reportAbstractUsage]
            return replace(self.recipe, method=default)
        return self.variants[method]


def load(name: str) -> Entry:
    """The recipe of that name, or of a Python file of yours.

    Raises:
        InputError: there is no such recipe, or the file defines none.
    """
    module = _from_file(Path(name), "recipe file") if name.endswith(".py") else _shipped(name)
    return entry(vars(module), name)


def table(name: str) -> BenchmarkTable:
    """The benchmark table of that name, or of a Python file of yours; or what a shipped one has of a test set, as `r8`,
    beside which it has published numbers.

    Raises:
        InputError: there is no such table, or the file defines none.
    """
    from finetune.benchmark import BenchmarkTable

    if name.endswith(".py"):
        module = _from_file(Path(name), "table file")
    elif name in section("tables"):
        module = _shipped_table(name)
    else:
        whole, benchmark = _of_test_set(name)
        return replace(_shipped_table(whole).table, benchmarks=(benchmark,))
    found = vars(module).get("table")
    if not isinstance(found, BenchmarkTable):
        raise InputError(
            f"{name} defines no `table`: a table file has one variable of that name, a finetune.BenchmarkTable"
        )
    return found


def entry(namespace: Mapping[str, object], name: str) -> Entry:
    """The recipes among a module's variables; the one called `recipe` is the module's."""
    from finetune.recipe import Recipe

    recipes = {key: value for key, value in namespace.items() if isinstance(value, Recipe)}
    if "recipe" not in recipes:
        raise InputError(f"{name} defines no `recipe`: a recipe file has one variable of that name, a finetune.Recipe")
    return Entry(recipes["recipe"], {value.method_name: value for value in reversed(recipes.values())})


def _shipped(name: str) -> ModuleType:
    known = [module.name for module in pkgutil.iter_modules([str(_folder())]) if not module.ispkg]
    if name not in known:
        raise one_of("recipe", name, known)
    return importlib.import_module(f"recipes.{name}")


def saved_as(name: str) -> str:
    """What the records of a table are called."""
    return Path(name).stem if name.endswith(".py") else re.sub(r"\W+", "_", name.lower()).strip("_")


def whole_table(name: str) -> str:
    """What the table is called that one of a test set is of; of any other its own name.

    Raises:
        InputError: there is no such table.
    """
    return Path(name).stem if name.endswith(".py") or name in section("tables") else _of_test_set(name)[0]


def _shipped_table(name: str) -> ModuleType:
    return importlib.import_module(f"recipes.tables.{name}")


def _of_test_set(name: str) -> tuple[str, Benchmark]:
    """The table where something published stands beside that test set, and what is of it.

    Raises:
        InputError: there is none, or more than one.
    """
    known = section("tables")
    having = {
        each: benchmark
        for each in known
        for benchmark in _shipped_table(each).table.benchmarks
        if benchmark.data.lower() == name.lower()
    }
    published = [each for each in having.items() if each[1].published]
    if len(published) == 1:
        return published[0]
    if having:
        raise InputError(f"unknown benchmark table {name!r}; a test set of that name is in {', '.join(having)}")
    raise one_of("benchmark table", name, known)


def _from_file(path: Path, what: str) -> ModuleType:
    if not path.is_file():
        raise missing(what, path)
    # under a name of its own: a recipe called datasets.py must not become the library of that name
    name = f"finetune_recipe_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the file does: to its author a line of it is wrong, not finetune
        del sys.modules[name]
        raise InputError(f"{_line(error, path, module)}: {_reason(error)}") from error
    return module


def _line(error: Exception, path: Path, module: ModuleType) -> str:
    """The file and the line of it that failed; where a file that it imports cannot be parsed, that one."""
    if isinstance(error, SyntaxError):
        return f"{path if error.filename in (None, module.__file__) else error.filename}, line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == module.__file__]
    return f"{path}, line {lines[-1]}" if lines else str(path)


def _reason(error: Exception) -> str:
    """What an exception says, on one line; for a field that a part does not have, the nearest that it has."""
    if isinstance(error, InputError):
        return str(error)
    unknown = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if unknown and (kind := named(unknown[1])):
        return str(one_of(f"field of {kind.__name__}", unknown[2], hints(kind)))
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(said.split())[:300]}".rstrip(": ")
