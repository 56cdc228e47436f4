"""Runs that differ in nothing but chance, and what tells such groups apart: from their records alone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.result import Result
from finetune.system import System, contents, rows_of, unfit

CONTROLS = {"method": ("Majority", "Surface"), "data": ("Shuffled",), "checkpoint": ("Untrained",)}  # kinds of parts
AGAIN = "+again"  # what the name of a recipe ends in that was made a second time, to see whether it comes out alike
STOCK = ("stock", "finetune_stock", "eager", "sdpa")  # names of a checkpoint's own attention


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A run that came to no result."""

    recipe: Mapping[str, Any]  # its JSON
    method: str
    attention: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """A row of a table. Without results, all of its runs failed."""

    name: str  # of the recipe
    method: str
    attention: str
    settings: Mapping[str, Any]  # every field of the recipe, by its path, but seeds and the draw of training rows
    results: tuple[Result, ...]
    failed: int

    @property
    def names(self) -> tuple[str, str, str]:
        return self.name, self.method, self.attention

    @property
    def control(self) -> bool:
        """Whether it is there to be beaten."""
        return any(self.settings.get(part) in kinds for part, kinds in CONTROLS.items())

    @property
    def label(self) -> str:
        """For people."""
        return " ".join(self.names if self.attention != "stock" else self.names[:2])


def named_after(name: str, names: Container[str]) -> bool:
    """Whether a recipe's name is that of a control of another of these: it has the rows of the other."""
    return name.rpartition("+")[0] in names


def named_alone(results: Sequence[Result]) -> list[Result]:
    """Without controls that are named after a recipe: they have the rows of the recipe, of which all is said."""
    names = {result.recipe["name"] for result in results}
    return [each for each in results if not named_after(each.recipe["name"], names)]


def finals(results: Iterable[Result]) -> list[Result]:
    """Those that are no trials."""
    return [result for result in results if not result.trial]


def groups(results: Iterable[Result], failed: Iterable[Failed] = ()) -> list[Group]:
    """The groups in the order of their first run; those without a result come last."""
    runs: dict[str, list[Result | Failed]] = {}
    for run in (*results, *failed):
        runs.setdefault(json.dumps(settings_of(run.recipe), sort_keys=True), []).append(run)
    return [_group(alike) for alike in runs.values()]


def fits(group: Group, names: tuple[str, str, str], settings: Iterable[str]) -> bool:
    """Whether it is of that recipe, method and attention, and has each `field=value` that it has the field for."""
    if group.names != names:
        return False
    pairs = [setting.partition("=")[::2] for setting in settings]
    at = [(_at(group.settings, path.strip()), text.strip()) for path, text in pairs]
    return all(value is KeyError or _alike(_said(value), text) for value, text in at)


def differences(groups: Sequence[Group]) -> list[str]:
    """What sets each group apart from those of the same recipe, method and attention, as `--set` takes it.

    Empty for a group that has no such other.
    """
    return [
        " ".join(f"{path}={_said(group.settings[path])}" for path in group.settings if _differs(group, kin, path))
        for group, kin in _kin(groups)
    ]


def brief(groups: Sequence[Group]) -> list[str]:
    """The same in as few words as a picture has room for: the last name of each path, and of another kind of part the
    fields only where they set it apart from another of its kind.
    """
    return [
        " ".join(
            f"{path.rpartition('.')[2]}={_said(group.settings[path])}"
            for path in group.settings
            if _differs(group, kin, path) and _differs(group, _of_the_same_parts(group, kin, path), path)
        )
        for group, kin in _kin(groups)
    ]


def _kin(groups: Sequence[Group]) -> Iterator[tuple[Group, list[Group]]]:
    return ((group, [other for other in groups if other.names == group.names]) for group in groups)


def _differs(group: Group, kin: Iterable[Group], path: str) -> bool:
    return any(_at(group.settings, path) != _at(other.settings, path) for other in kin)


def _of_the_same_parts(group: Group, kin: Iterable[Group], path: str) -> list[Group]:
    """Of the kin those that have a part of the same kind wherever the path leads through one."""
    names = path.split(".")
    above = [each for end in range(1, len(names)) if (each := ".".join(names[:end])) in group.settings]
    return [other for other in kin if not any(_differs(group, [other], each) for each in above)]


def systems(groups: Sequence[Group]) -> list[System]:
    """The groups that came to results, by names that tell them apart."""
    named = zip(groups, differences(groups), strict=True)
    return [System(name=f"{each.label} {apart}".strip(), runs=each.results) for each, apart in named if each.results]


def comparable(systems: Sequence[System], fewest: int = 2) -> list[list[System]]:
    """Those that a verdict can be made of, by their test rows and score; of data that has changed, by its content.

    Args:
        fewest: seeds that they must have.
    """
    every = [system for system in systems if not unfit(system, fewest)]
    known = contents(run for system in every for run in system.runs).values()
    changed = {sha256 for sums in known if len(sums) > 1 for sha256 in sums}
    alike: dict[tuple[str | None, str, str], list[System]] = {}
    for system in every:
        sha256 = system.runs[0].data["sha256"]
        key = (rows_of(system), system.runs[0].headline, sha256 if sha256 in changed else "")
        alike.setdefault(key, []).append(system)
    return list(alike.values())


def singles(systems: Sequence[System]) -> Iterator[tuple[System, System]]:
    """Every two of one seed each that were tested on the same rows."""
    for alike in comparable([system for system in systems if len(system.runs) == 1], fewest=1):
        yield from itertools.combinations(alike, 2)


def _group(runs: Sequence[Result | Failed]) -> Group:
    first, results = runs[0], tuple(run for run in runs if isinstance(run, Result))
    return Group(
        name=str(first.recipe["name"]),
        method=first.method,
        attention="stock" if first.attention in STOCK else first.attention,
        settings=settings_of(first.recipe),
        results=results,
        failed=len(runs) - len(results),
    )


def settings_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of a run's recipe, by its path, but what other runs of its row have others of."""
    # records from before there was a choice do not say it
    settings = {"attention": None, "augmentation": None} | dict(_paths(recipe))
    drawn = [f"{part}.seed" for part in ("data", "checkpoint") if settings[part] in CONTROLS[part]]
    for path in ("seed", "split.draw", *drawn):
        settings.pop(path, None)
    return settings


def _paths(part: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value below a part; what kind of part it is stands at the part's own path."""
    for name, value in part.items():
        below = path if name == "type" else f"{path}.{name}".lstrip(".")
        yield from _paths(value, below) if isinstance(value, Mapping) else [(below, value)]


def _at(settings: Mapping[str, Any], path: str) -> Any:
    return settings.get(path, KeyError)  # a field that is not there equals no value


def _alike(said: str, text: str) -> bool:
    """Whether two texts are of one value: 1e-3 is 0.001."""
    try:
        return float(said) == float(text)
    except ValueError:
        return said.lower() == text.replace(", ", ",").lower()


def _said(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, list | tuple):
        return ",".join(map(_said, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
