"""Studies → one table: at every point the mean over seeds, and how sure of that."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from finetune import stats
from finetune.points import Points, Quantity, Series
from finetune.report.tables import Table
from finetune.stats import Estimate

PLACES = 12  # of a line, that a table shows at most: of a curve of hundreds nobody reads every one


def study(points: Points) -> Table:
    """A row for each point; of a line of many, for some that are evenly apart, and its first and last."""
    header = (points.lines, points.along, "seeds", *(each.name for each in points.quantities))
    shown = _shown(points.series)
    rows = [
        (each.line, f"{each.at:g}", str(points.seeds), *(_cell(estimate(each, what)) for what in points.quantities))
        for each in shown
    ]
    if points.panels:
        header = (points.panels, *header)
        rows = [(each.panel, *row) for each, row in zip(shown, rows, strict=True)]
    return Table(header, tuple(rows), tuple(_notes(points, len(shown))))


def _shown(series: Sequence[Series]) -> list[Series]:
    found = []
    for _, line in itertools.groupby(series, key=lambda each: (each.panel, each.line)):
        every = list(line)
        places = np.unique(np.linspace(0, len(every) - 1, min(PLACES, len(every))).round().astype(int))
        found += [every[place] for place in places]
    return found


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


def _notes(points: Points, shown: int) -> Iterator[str]:
    yield from points.notes
    steep = [each.name for each in points.quantities if each.steep]
    if points.seeds > 1:
        geometric = f", the geometric one of {' and '.join(steep)}" if steep else ""
        yield (
            f"each number is the mean over {points.seeds} seeds{geometric}, with the 95 % interval of that mean "
            "(Student's t over seeds)"
        )
    if shown < len(points.series):
        yield f"{shown} of {len(points.series)} places; the record holds them all"
    if points.seconds is not None:
        settings = ", ".join(f"{name} {_written(value)}" for name, value in points.settings.items())
        yield (f"made by `finetune study {points.name} --seeds {points.seeds}` in {points.seconds:.1f} s; {settings}")


def _written(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
