"""An axis of choice is a folder, each file in it an alternative: find them, without a registry."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

from finetune.errors import one_of

Contract = TypeVar("Contract")


def names(axis: ModuleType) -> list[str]:
    """The alternatives of an axis: the names of the modules in its folder, which are not imported."""
    return sorted(module.name for module in pkgutil.iter_modules(axis.__path__))


def every(axis: ModuleType, contract: type[Contract]) -> list[type[Contract]]:
    """All classes of the axis that keep the contract (imports its modules)."""
    return [found for name in names(axis) for found in _classes(axis, name, contract)]


def find(axis: ModuleType, name: str, contract: type[Contract]) -> type[Contract]:
    """The class that keeps the contract in the axis' module of that name (imports no other).

    Raises:
        InputError: no module of the axis has the name.
    """
    if name not in names(axis):
        raise one_of(_one(axis.__name__.rpartition(".")[2]), name, names(axis))
    return _classes(axis, name, contract)[0]


def _one(axis: str) -> str:
    """What an axis' folder has several of."""
    return f"{axis.removesuffix('ies')}y" if axis.endswith("ies") else axis.removesuffix("s")


def _classes(axis: ModuleType, name: str, contract: type[Contract]) -> list[type[Contract]]:
    module = importlib.import_module(f"{axis.__name__}.{name}")
    own = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    return [value for value in own if issubclass(value, contract)]
