"""What runs are expected to take → one table: a row for each, and below it what that says of the methods."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from finetune.forecast import Forecast
from finetune.report.tables import MISSING, Table, without_idle

HEADER = (
    "recipe",
    "method",
    "attention",
    "train rows",
    "updates",
    "trained %",
    "time",
    "features s",
    "train s",
    "eval s",
    "peak MB",
    "libraries",
    "weights",
    "gradients",
    "optimizer",
    "activations",
    "saved MB",
    "cache MB",
)
SAME = 0.9  # of what the method that trains most needs: from here on nothing is saved worth the name


def forecasts(found: Sequence[Forecast]) -> Table:
    """A row for each run."""
    notes = (
        *_notes(found),
        "measured on a few updates of each and multiplied; peak and its causes in MB, of a process",
    )
    return without_idle(Table(HEADER, tuple(map(_row, found)), notes))


def _row(each: Forecast) -> tuple[str, ...]:
    seconds, memory, disk = each.seconds, each.memory, each.disk
    trained = 100 * each.parameters["trained"] / each.parameters["total"]
    return (
        each.recipe,
        each.method,
        each.attention,
        str(each.rows),
        str(each.updates),
        f"{trained:.2f}" if trained < 99.995 else "100",
        duration(sum(seconds.values())),
        f"{seconds['features']:.1f}" if seconds["features"] else MISSING,
        f"{seconds['train']:.1f}",
        f"{seconds['eval']:.1f}",
        f"{each.peak / 1e6:.0f}",
        *[f"{memory[cause] / 1e6:.0f}" for cause in HEADER[11:16]],
        f"{disk['trained'] / 1e6:.1f}",
        f"{disk['cache'] / 1e6:.1f}" if disk["cache"] else MISSING,
    )


def duration(seconds: float) -> str:
    """As one says it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _notes(found: Sequence[Forecast]) -> list[str]:
    """Where training less saves nothing."""
    notes = []
    for name, group in itertools.groupby(found, key=lambda each: each.recipe):
        *fewer, most = sorted(group, key=lambda each: each.parameters["trained"])
        for each in fewer:
            if each.peak >= SAME * most.peak:
                share = 100 * each.memory["activations"] / each.peak
                notes.append(
                    f"{name}: {each.method} saves no memory beside {most.method} ({each.peak / 1e6:.0f} MB of "
                    f"{most.peak / 1e6:.0f}): activations are {share:.0f} % of it, and they are the same"
                )
            if each.seconds["train"] >= SAME * most.seconds["train"]:
                notes.append(f"{name}: {each.method} saves no time beside {most.method}: its updates take as long")
    return notes
