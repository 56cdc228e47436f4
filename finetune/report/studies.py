"""Studies → one table: at every point the mean over seeds, and how sure of that."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from finetune import stats
from finetune.points import Points, Quantity, Series
from finetune.report.tables import Table
from finetune.stats import Estimate


def study(points: Points) -> Table:
    """A row for each point."""
    header = (points.lines, points.along, "seeds", *(each.name for each in points.quantities))
    rows = [
        (each.line, f"{each.at:g}", str(points.seeds), *(_cell(estimate(each, what)) for what in points.quantities))
        for each in points.series
    ]
    if points.panels:
        header = (points.panels, *header)
        rows = [(each.panel, *row) for each, row in zip(points.series, rows, strict=True)]
    return Table(header, tuple(rows), _notes(points))


def estimate(series: Series, quantity: Quantity) -> Estimate:
    """The mean over seeds, with Student's interval of it, as far as that is possible."""
    values = np.array(series.values[quantity.name], dtype=float)
    found = stats.geometric(values) if quantity.steep else stats.mean(values)
    if found.low is None or found.high is None:
        return found
    low = found.low if quantity.least is None else max(found.low, quantity.least)
    high = found.high if quantity.most is None else min(found.high, quantity.most)
    return Estimate(found.value, low, high, found.n)


def _cell(found: Estimate) -> str:
    value = _number(found.value)
    if found.low is None or found.high is None:
        return value
    return f"{value} ({_number(found.low)} to {_number(found.high)})"


def _number(value: float) -> str:
    """Three digits, as powers of ten where that would be many zeros."""
    if not value or not 1e-3 <= abs(value) < 1e4:
        return f"{value:.2e}" if value else "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _notes(points: Points) -> tuple[str, ...]:
    steep = [each.name for each in points.quantities if each.steep]
    geometric = f", the geometric one of {' and '.join(steep)}" if steep else ""
    settings = ", ".join(f"{name} {_written(value)}" for name, value in points.settings.items())
    return (
        *points.notes,
        f"each number is the mean over {points.seeds} seeds{geometric}, with the 95 % interval of that mean (Student's "
        "t over seeds)",
        f"made by `finetune study {points.name} --seeds {points.seeds}` in {points.seconds:.1f} s; {settings}",
    )


def _written(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
