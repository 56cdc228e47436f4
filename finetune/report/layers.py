"""Where in a frozen backbone the answer is: validation scores of a head at every layer and pooling.

From result records alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finetune.report.families import chosen, families
from finetune.report.groups import Failed, groups
from finetune.report.tables import MISSING, Table, without_idle
from finetune.result import Result

KINDS = {"ridge": "ridge", "nearest": "neighbours"}  # of heads, and what their columns are called


def layers(results: Iterable[Result], _: Iterable[Failed] = ()) -> Table:
    """A row for each layer of each backbone that was swept, a column for each pooling and kind of head."""
    swept = {groups([run])[0].names: run for run in results if run.choice is not None and "places" in run.choice}
    poolings = list(dict.fromkeys(place["pooling"] for run in swept.values() for place in _choice(run)["places"]))
    columns = [(pooling, kind) for kind in KINDS for pooling in poolings]
    header = ("recipe", "method", "attention", "layer", *(f"{pooling} {KINDS[kind]} %" for pooling, kind in columns))
    rows = [
        (*names, str(layer), *(_cell(_choice(run), layer, *column) for column in columns))
        for names, run in swept.items()
        for layer in sorted({place["layer"] for place in _choice(run)["places"]})
    ]
    notes = _notes(list(swept.values()))
    return without_idle(Table((*header, "chosen"), tuple(_marked(row, swept) for row in rows), notes))


def _choice(run: Result) -> Mapping[str, Any]:
    return run.choice or {}


def _cell(choice: Mapping[str, Any], layer: int, pooling: str, kind: str) -> str:
    here = (place for place in choice["places"] if (place["layer"], place["pooling"]) == (layer, pooling))
    return next((f"{100 * place[kind]:.1f}" for place in here), MISSING)


def _marked(row: tuple[str, ...], swept: Mapping[tuple[str, str, str], Result]) -> tuple[str, ...]:
    choice = _choice(swept[row[:3]])  # pyright: ignore[reportArgumentType]
    return (*row, choice["pooling"] if str(choice["layer"]) == row[3] else "")


def _notes(runs: Sequence[Result]) -> tuple[str, ...]:
    lines = ["layer 0 is what the embeddings say; of each place the penalty with the least squared error"]
    none = (
        "no frozen backbone was swept: `finetune compare … --methods frozen --trials 2` tries every layer and pooling"
    )
    return (*lines, *chosen(families(runs))) if runs else (none,)
