"""How training went: the loss and the gradient of runs, update by update, over seeds that differ in nothing else.

From the folders of runs: a record does not hold its curve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.errors import InputError
from finetune.outputs import CURVE, read_json, read_lines
from finetune.points import Points, Quantity, Series
from finetune.report.groups import brief, groups, systems
from finetune.result import Result
from finetune.system import System

QUANTITIES = (
    Quantity(name="loss", steep=True),  # the largest is many times the smallest
    Quantity(name="gradient norm", steep=True, drawn=False),
)
LINE = {"loss": "loss", "gradient norm": "gradient_norm"}  # what a line of a curve calls each


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished run, and what it wrote down while it trained."""

    result: Result
    curve: Sequence[Mapping[str, Any]]

    @staticmethod
    def read(folder: Path) -> Trained:
        """
        Raises:
            InputError: the folder holds no finished run, or one that was not trained by updates.
        """
        stored = read_json(folder / "result.json")
        if stored is None:
            raise InputError(f"{folder} holds no finished run: there is no result.json")
        curve = read_lines(folder / CURVE) if (folder / CURVE).is_file() else []
        if not curve:
            raise InputError(f"{folder} has no curve: its method solves for its head, or it made no update")
        return Trained(result=Result.from_json(stored), curve=curve)


def training(runs: Iterable[Trained]) -> Points:
    """A line for each group of runs that differ in their seed alone, over the updates that all of them tell of.

    Raises:
        InputError: groups have different numbers of seeds, so that their intervals are not of the same kind.
    """
    by_fingerprint = {each.result.fingerprint: each for each in runs}
    every = groups(each.result for each in by_fingerprint.values())
    found = systems(every)
    called = [f"{each.label} {own}".strip() for each, own in zip(every, brief(every), strict=True)]
    counts = {len(system.runs) for system in found}
    if len(counts) > 1:
        told = ", ".join(f"{len(system.runs)} of {system.name}" for system in found)
        raise InputError(f"curves are means over seeds, and there must be as many of each, got {told}")
    return Points(
        name="",
        title="How training went",
        panels="",
        lines="runs",
        along="update",
        quantities=QUANTITIES,
        notes=tuple(_notes(found)),
        settings={},
        seeds=counts.pop(),
        seconds=None,
        series=[
            series
            for name, system in zip(called, found, strict=True)
            for series in _series(name, [by_fingerprint[run.fingerprint].curve for run in system.runs])
        ],
    )


def _series(name: str, curves: Sequence[Sequence[Mapping[str, Any]]]) -> list[Series]:
    """One of a run that ended before the others has no number afterwards, and neither has their mean."""
    by_step = [{int(line["step"]): line for line in curve} for curve in curves]
    return [
        Series(
            panel="",
            line=name,
            at=step,
            values={said: [float(curve[step][key]) for curve in by_step] for said, key in LINE.items()},
        )
        for step in sorted(set.intersection(*map(set, by_step)))
    ]


def _notes(found: Sequence[System]) -> Iterable[str]:
    yield "loss: mean over the targets since the line before, as it was trained on, with its dropout"
    for system in found:
        seeds = ", ".join(str(run.recipe["seed"]) for run in system.runs)
        seconds = sum(run.seconds["train"] for run in system.runs) / len(system.runs)
        yield f"{system.name}: seeds {seeds}; {system.runs[0].updates} updates in {seconds:.1f} s, of the mean run"
        if diverged := [str(run.recipe["seed"]) for run in system.runs if run.status == "diverged"]:
            yield f"{system.name}: seeds {', '.join(diverged)} diverged; its line ends where the first of them did"
