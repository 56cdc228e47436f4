"""Results → one table: a row for each recipe and method, over its seeds; in four formats from the same cells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tabulate import tabulate

from finetune.outputs import write_text, writing
from finetune.report.families import chosen, families, looked
from finetune.report.groups import Failed, Group, differences, finals, groups
from finetune.report.notes import intervals, notes
from finetune.result import Result
from finetune.stats import Estimate, spread
from finetune.system import System, estimate

MISSING = "–"
GAP, PADDING = 2, 2  # characters between the columns of a terminal, and those that tabulate adds to a header
HEADER = (
    "recipe",
    "method",
    "attention",
    "settings",
    "train rows",
    "updates",
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
WORDS = (  # columns of words; the others are of numbers
    *("recipe", "method", "attention", "settings", "score"),
    *("data", "system", "source", "row", "outcome", "reference", "elsewhere", "chosen"),
    *("changed", "norm", "order", "tokenizer"),
    *("fault", "said last"),
)
IDLE = {"attention": "stock", "settings": MISSING}  # columns that are left out where every cell says only this


@dataclass(frozen=True)
class Table:
    """Cells of text; a number that does not exist is a dash, a run that diverged says so. Notes stand below."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def terminal(self, width: int | None = None) -> str:
        """
        Args:
            width: of the screen, in characters; None: as wide as it comes. On a narrower one what is the same in every
                row stands below, and the columns that are left go on below one another.
        """
        if width is None or sum(self._widths) - GAP <= width:
            return self._tabulate("simple", self.rows) + _below("", self.notes)
        folded = self._folded()
        blocks = [each._tabulate("simple", each.rows) for each in folded._blocks(width)]
        return "\n\n".join(blocks) + _below("", folded.notes)

    def markdown(self) -> str:
        escaped = [[cell.replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in self.rows]
        return self._tabulate("github", escaped) + _below("- ", self.notes)

    def latex(self) -> str:
        """The notes are comments: a `tabular` has no place for them, and whose table it is decides where they go."""
        comments = "".join(f"\n% {note}" for note in self.notes)
        return self._tabulate("latex_booktabs", self.rows) + comments  # escapes the cells by itself

    def csv(self) -> str:
        """Cells alone: a program reads them."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows([[_inert(cell) for cell in row] for row in self.rows])
        return text.getvalue().rstrip("\n")

    def save(self, folder: Path, name: str) -> None:
        """Write it as `name.md`, `name.csv` and `name.tex`.

        Raises:
            InputError: the folder cannot be written.
        """
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for ending, text in (("md", self.markdown()), ("csv", self.csv()), ("tex", self.latex())):
                write_text(folder / f"{name}.{ending}", text + "\n")

    def only(self, columns: Iterable[int]) -> Table:
        """The table with some of its columns."""
        columns = list(columns)
        header, *rows = (tuple(cells[n] for n in columns) for cells in (self.header, *self.rows))
        return replace(self, header=header, rows=tuple(rows))

    @property
    def _widths(self) -> list[int]:
        """Of the columns on a terminal, with the gap between two."""
        columns = zip(self.header, *self.rows, strict=True)
        return [max([len(name) + PADDING, *map(len, cells)]) + GAP for name, *cells in columns]

    @property
    def _named(self) -> int:
        """How many of the first columns say what a row is."""
        return next((n for n, name in enumerate(self.header) if name not in WORDS), 0)

    def _folded(self) -> Table:
        columns = list(zip(self.header, *self.rows, strict=True))
        same = [n for n, cells in enumerate(columns) if n and len(cells) > 2 and len(set(cells[1:])) == 1]
        told = ", ".join(" ".join(columns[n][:2]) for n in same)
        kept = self.only(n for n in range(len(columns)) if n not in same)
        return replace(kept, notes=(f"in every row: {told}", *kept.notes)) if same else self

    def _blocks(self, width: int) -> list[Table]:
        """One below the other, each with the columns that say what a row is and no wider than that, if possible."""
        widths, named = self._widths, self._named
        room = width + GAP - sum(widths[:named])
        blocks: list[list[int]] = [[]]
        for column in range(named, len(widths)):
            if blocks[-1] and sum(widths[n] for n in blocks[-1]) + widths[column] > room:
                blocks.append([])
            blocks[-1].append(column)
        return [self.only([*range(named), *block]) for block in blocks]

    def _tabulate(self, style: str, rows: Iterable[Sequence[str]]) -> str:
        aligned = ["left" if name in WORDS else "right" for name in self.header]
        return tabulate(rows, self.header, tablefmt=style, colalign=aligned, disable_numparse=True)


def table(results: Iterable[Result], failed: Iterable[Failed] = ()) -> Table:
    """A row for each group of runs that differ in nothing but the seed, in the order of their first run.

    Args:
        results: trials are told below.
        failed: runs that came to no result; where nothing else of their group did, it is a row of dashes.
    """
    results = list(results)
    found = groups(finals(results), failed)
    rows = tuple(_row(group, apart or MISSING) for group, apart in zip(found, differences(found), strict=True))
    below = (*intervals(found), *notes(found), *chosen(families(results)), *looked(results))
    return without_idle(Table(HEADER, rows, below))


def without_idle(table: Table, idle: Mapping[str, str] = IDLE) -> Table:
    """The table without columns that say nothing: in every cell only what is given for them, or a dash."""
    return table.only(
        n
        for n, name in enumerate(table.header)
        if name not in idle or any(row[n] not in (idle[name], MISSING) for row in table.rows)
    )


def percent(found: Estimate) -> str:
    """A share with its interval."""
    if found.low is None or found.high is None:
        return f"{100 * found.value:.1f}"
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _below(mark: str, notes: Iterable[str]) -> str:
    lines = [f"{mark}{note}" for note in notes]
    return "\n\n" + "\n".join(lines) if lines else ""


def _row(group: Group, apart: str) -> tuple[str, ...]:
    if not group.results:
        return (*group.names, apart, *[MISSING] * (len(HEADER) - 4))
    runs, first = group.results, group.results[0]
    updates = [run.updates for run in runs]
    trained = 100 * first.parameters["trained"] / first.parameters["total"]
    return (
        *group.names,
        apart,
        str(first.rows["train"]),
        _mean(updates, 0 if len(set(updates)) == 1 else 1),  # early stopping may come at another epoch
        str(first.rows["test"]),
        str(len(runs)),
        *score_cells(runs, [run for run in runs if run.status == "done"]),
        f"{trained:.2f}" if trained < 99.995 else "100",
        _mean([run.seconds["features"] for run in runs], 1) if first.seconds["features"] else MISSING,
        _mean([run.seconds["train"] for run in runs], 1),
        _mean([run.tokens_per_second for run in runs], 0) if not first.seconds["features"] else MISSING,
        _mean([run.peak_memory_bytes / 1e6 for run in runs], 0),
        _mean([run.saved_bytes / 1e6 for run in runs if run.saved], 2),
    )


def score_cells(group: Sequence[Result], sound: Sequence[Result], digits: int = 1) -> tuple[str, str, str, str]:
    """Name, mean over seeds, their deviation, and the 95 % interval, its ends with so many digits."""
    if len(sound) < len(group):
        ends = {status: sum(run.status == status for run in group) for status in ("diverged", "failed")}
        said = ", ".join(f"{status} ({count})" for status, count in ends.items() if count)
        return (sound[0].headline if sound else MISSING, said, MISSING, MISSING)
    name = sound[0].headline
    over = spread([100 * result.scores[name].value for result in sound])
    deviation = MISSING if over.deviation is None else f"{over.deviation:.2f}"
    found = estimate(System(name="", runs=tuple(sound)))
    if found.low is None or found.high is None:
        return name, f"{over.mean:.2f}", deviation, MISSING
    return name, f"{over.mean:.2f}", deviation, f"{100 * found.low:.{digits}f} to {100 * found.high:.{digits}f}"


def _mean(values: Sequence[float], digits: int) -> str:
    return f"{sum(values) / len(values):.{digits}f}" if values else MISSING


def _inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; a number with its sign, or an interval of two, is none."""
    number = r"[+-][\d.]+"
    return cell if re.fullmatch(rf"{number}( to {number})?", cell) or not re.match(r"[=+@\t\r-]", cell) else f"'{cell}"
