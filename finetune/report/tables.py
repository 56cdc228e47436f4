"""Results → one table: a row for each recipe and method, over its seeds; in four formats from the same cells."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from finetune.result import Result
from finetune.stats import spread

MISSING = "–"
STOCK = ("stock", "eager", "sdpa")  # names of a checkpoint's own attention
HEADER = (
    "recipe",
    "method",
    "attention",
    "train rows",
    "test rows",
    "seeds",
    "score",
    "value %",
    "± seeds",
    "95 % interval",
    "trained %",
    "features s",
    "train s",
    "tok/s",
    "peak MB",
    "saved MB",
)


@dataclass(frozen=True)
class Table:
    """Cells of text; a number that does not exist is a dash, a run that diverged says so."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def terminal(self) -> str:
        return self._tabulate("simple", self.rows)

    def markdown(self) -> str:
        escaped = [[cell.replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in self.rows]
        return self._tabulate("github", escaped)

    def latex(self) -> str:
        return self._tabulate("latex_booktabs", self.rows)  # escapes by itself

    def csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows([[_inert(cell) for cell in row] for row in self.rows])
        return text.getvalue().rstrip("\n")

    def _tabulate(self, style: str, rows: Iterable[Sequence[str]]) -> str:
        aligned = ["left" if name in ("recipe", "method", "attention", "score") else "right" for name in self.header]
        return tabulate(rows, self.header, tablefmt=style, colalign=aligned, disable_numparse=True)


FORMATS = {
    "terminal": Table.terminal,
    "markdown": Table.markdown,
    "csv": Table.csv,
    "latex": Table.latex,
}


def table(results: Iterable[Result], failed: Iterable[tuple[str, str, str]] = ()) -> Table:
    """A row for each group of runs that differ in nothing but the seed, in the order of their first run.

    Args:
        failed: recipe, method and attention of runs that came to no result; each is a row of dashes.
    """
    groups: dict[str, list[Result]] = {}
    for result in results:
        settings = {name: value for name, value in result.recipe.items() if name != "seed"}
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(result)
    missing = [(*names, *[MISSING] * (len(HEADER) - len(names))) for names in dict.fromkeys(failed)]
    rows = [*(_row(group) for group in groups.values()), *missing]
    return _without_stock(Table(HEADER, tuple(rows)))


def _without_stock(table: Table) -> Table:
    """Without the column of attentions where every one is the checkpoint's own."""
    column = HEADER.index("attention")
    if any(row[column] not in STOCK for row in table.rows):
        return table
    return Table(_but(column, table.header), tuple(_but(column, row) for row in table.rows))


def _but(column: int, cells: tuple[str, ...]) -> tuple[str, ...]:
    return cells[:column] + cells[column + 1 :]


def _row(group: Sequence[Result]) -> tuple[str, ...]:
    first, sound = group[0], [result for result in group if result.status == "done"]
    trained = 100 * first.parameters["trained"] / first.parameters["total"]
    return (
        str(first.recipe["name"]),
        first.method,
        "stock" if first.attention in STOCK else first.attention,
        str(first.rows["train"]),
        str(first.rows["test"]),
        str(len(group)),
        *_score(group, sound),
        f"{trained:.2f}" if trained < 99.995 else "100",
        _mean([result.seconds["features"] for result in group], 1) if first.seconds["features"] else MISSING,
        _mean([result.seconds["train"] for result in group], 1),
        _mean([result.tokens_per_second for result in group], 0) if not first.seconds["features"] else MISSING,
        _mean([result.peak_memory_bytes / 1e6 for result in group], 0),
        _mean([result.saved_bytes / 1e6 for result in group], 2),
    )


def _score(group: Sequence[Result], sound: Sequence[Result]) -> tuple[str, str, str, str]:
    """Name, mean over seeds, their deviation, and the mean interval over test items."""
    if len(sound) < len(group):
        return (sound[0].headline if sound else MISSING, f"diverged ({len(group) - len(sound)})", MISSING, MISSING)
    name = sound[0].headline
    estimates = [result.scores[name] for result in sound]
    over = spread([100 * estimate.value for estimate in estimates])
    deviation = MISSING if over.deviation is None else f"{over.deviation:.2f}"
    ends = [(estimate.low, estimate.high) for estimate in estimates]
    if any(low is None or high is None for low, high in ends):
        return name, f"{over.mean:.2f}", deviation, MISSING
    low, high = (sum(100 * (end or 0) for end in side) / len(ends) for side in zip(*ends, strict=True))
    return name, f"{over.mean:.2f}", deviation, f"{low:.1f} to {high:.1f}"


def _mean(values: Sequence[float], digits: int) -> str:
    return f"{sum(values) / len(values):.{digits}f}"


def _inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; a negative number is none."""
    return f"'{cell}" if re.match(r"[=+@\t\r]|-(?![\d.])", cell) else cell
