"""A figure laid out by the inch: panels in rows and columns, their colour bars, curves, and scores with intervals.

Lengths are inches from the upper left corner.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from finetune.report.fonts import letters, short, width
from finetune.report.grounds import GREY, Ground, Scale

TITLED, EDGE, HEADER = 0.28, 0.25, 0.62  # above a panel with a title, around all, above all
BAR, BAR_ROOM = 0.10, 0.68
MARKED = 16  # places of a line that are marked each, and told by their numbers
LETTERS = 14  # of a name of a line, in an inch
NAMED, DOT, AROUND = 7.5, 0.05, 0.5  # points of a dot's name; inches of a dot, and around all of them
LINES = ("#31688e", "#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#a6761d")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A panel, and where it stands in its group."""

    row: int
    column: int
    weights: np.ndarray
    scale: Scale
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The colours of a scale, beside some rows of a group."""

    scale: Scale
    says: str
    first: int = 0
    last: int = 0


class Part(ABC):
    """Something that has a place on a page."""

    @abstractmethod
    def size(self) -> tuple[float, float]:
        """Width and height."""

    @abstractmethod
    def draw(self, page: Page, x: float, y: float) -> None:
        """With its upper left corner there."""


@dataclass(frozen=True, kw_only=True)
class Group(Part):
    """Panels on one ground, in rows and columns, with their colour bars on the right."""

    ground: Ground
    side: float
    cells: Sequence[Cell]
    bars: Sequence[Bar]
    names: Mapping[int, str] = field(default_factory=dict)  # of rows

    def size(self) -> tuple[float, float]:
        return self.right() + BAR_ROOM, self.y(max(cell.row for cell in self.cells)) + self.side + self.ground.room

    def x(self, column: int) -> float:
        return self.ground.room + (0.25 if self.names else 0.0) + column * (self.side + self.ground.gap)

    def right(self) -> float:
        """Where the last column ends."""
        return self.x(max(cell.column for cell in self.cells)) + self.side

    def y(self, row: int) -> float:
        titled = {cell.row for cell in self.cells if cell.title}
        return row * self.side + sum(TITLED if each in titled else self.ground.gap for each in range(row + 1))

    def draw(self, page: Page, x: float, y: float) -> None:
        lowest = {cell.column: cell.row for cell in sorted(self.cells, key=lambda cell: cell.row)}
        for cell in self.cells:
            axes = page.axes(x + self.x(cell.column), y + self.y(cell.row), self.side, self.side)
            self.ground.draw(axes, cell.weights, cell.scale)
            self.ground.label(axes, beside=cell.column == 0, beneath=lowest[cell.column] == cell.row)
            axes.set_title(pad=4, **written(cell.title, "label", 9))
        for row, name in self.names.items():
            page.text(x + 0.1, y + self.y(row) + self.side / 2, name, 9, rotation=90, va="center", ha="center")
        for bar in self.bars:
            top, bottom = self.y(bar.first) + 0.06, self.y(bar.last) + self.side - 0.06  # room for half a number
            axes = page.axes(x + self.right() + 0.12, y + top, BAR, bottom - top)
            page.figure.colorbar(self.ground.coloured(bar.scale), cax=axes, format="%g")
            axes.tick_params(labelsize=7, length=2)
            axes.set_ylabel(bar.says, fontsize=8, color=GREY)


@dataclass(frozen=True, kw_only=True)
class Curves(Part):
    """Numbers over 1, 2, 3 …, a line for each name; the horizontal axis is logarithmic."""

    lines: Mapping[str, np.ndarray]
    along: str
    up: str
    side: float

    def size(self) -> tuple[float, float]:
        return self.side + 1.0, self.side + TITLED + 0.45

    def draw(self, page: Page, x: float, y: float) -> None:
        axes = page.axes(x + 0.55, y + TITLED, self.side + 0.35, self.side)
        for colour, numbers in zip(LINES, self.lines.values(), strict=False):
            axes.plot(range(1, len(numbers) + 1), numbers, color=colour, linewidth=1.4)
        axes.set_xscale("log")
        marks = [2**power for power in range(16) if 2**power <= max(map(len, self.lines.values()))]
        axes.set_xticks(marks, [str(mark) for mark in marks])
        axes.minorticks_off()
        axes.tick_params(labelsize=7, length=2)
        axes.set_xlabel(self.along, fontsize=8, color=GREY)
        axes.set_ylabel(self.up, fontsize=8, color=GREY)
        axes.axhline(0, color=GREY, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        for index, (colour, name) in enumerate(zip(LINES, self.lines, strict=False)):
            place = {"x": 0.99, "y": 0.97 - 0.06 * index, "ha": "right", "va": "top", "transform": axes.transAxes}
            axes.text(color=colour, **place, **written(name, "s", 8))


@dataclass(frozen=True, kw_only=True)
class Band:
    """Scores at some places, with their intervals."""

    name: str
    at: np.ndarray
    values: np.ndarray
    lows: np.ndarray
    highs: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Bands(Part):
    """A line for each, in the band of its intervals, and its name at its end."""

    lines: Sequence[Band]
    along: str
    up: str
    title: str
    side: float
    logarithmic: bool = True
    steep: bool = False  # upwards logarithmic, too

    def size(self) -> tuple[float, float]:
        names = max((0.2 + width(written(line.name, "s", 8)["s"]) / LETTERS for line in self.lines), default=0.0)
        return 1.3 * self.side + max(1.5, 0.55 + names), self.side + TITLED + 0.45

    def draw(self, page: Page, x: float, y: float) -> None:
        axes = page.axes(x + 0.55, y + TITLED, 1.3 * self.side, self.side)
        for colour, line in zip(itertools.cycle(LINES), self.lines, strict=False):
            marker = "o" if len(line.at) <= MARKED else ""
            axes.plot(line.at, line.values, color=colour, linewidth=1.4, marker=marker, markersize=3)
            axes.fill_between(line.at, line.lows, line.highs, color=colour, alpha=0.15, linewidth=0)
        if self.logarithmic:
            axes.set_xscale("log")
            _plain(axes.xaxis, *axes.get_xlim())
        if self.steep:
            axes.set_yscale("log")
            _plain(axes.yaxis, *axes.get_ylim())
        places = sorted({float(each) for line in self.lines for each in line.at})
        if len(places) <= MARKED:
            axes.set_xticks(places, [f"{each:g}" for each in places])
        axes.minorticks_off()
        axes.tick_params(labelsize=7, length=2)
        axes.set_xlabel(self.along, fontsize=8, color=GREY)
        axes.set_ylabel(self.up, fontsize=8, color=GREY)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(pad=4, **written(self.title, "label", 9))
        for colour, line, height in zip(itertools.cycle(LINES), self.lines, self._apart(axes.get_ylim()), strict=False):
            axes.text(line.at[-1], height, color=colour, va="center", **written(f"  {line.name}", "s", 8))

    def _apart(self, limits: tuple[float, float]) -> list[float]:
        """Where each name stands: at the end of its line, or as far off as not to cover another."""
        bottom, top = self._height(limits[0]), self._height(limits[1])
        ends, heights = [self._height(line.values[-1]) for line in self.lines], [0.0] * len(self.lines)
        lowest = -np.inf
        for index in sorted(range(len(self.lines)), key=lambda each: ends[each]):
            heights[index] = lowest = max(ends[index], lowest + 0.06 * (top - bottom))
        return [10**height for height in heights] if self.steep else heights

    def _height(self, value: float) -> float:
        """Where on paper a value stands, in no unit."""
        return float(np.log10(value) if self.steep else value)


def _plain(axis: Axis, low: float, high: float) -> None:
    """Plain numbers at powers of ten; where there are too few of those, also between them."""
    if high < 1000 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")


@dataclass(frozen=True, kw_only=True)
class Dots(Part):
    """Dots on a plane, as far from each other across as upwards; each has its name beside it, if need be by a line.

    N dots.
    """

    names: Sequence[str]
    at_N2: np.ndarray
    side: float  # the longer one

    def size(self) -> tuple[float, float]:
        across, up = np.maximum(self._unit() * np.ptp(self.at_N2, axis=0) + 2 * AROUND, 0.4 * self.side)
        return float(across), float(up)

    def _unit(self) -> float:
        """Inches of one."""
        return (self.side - 2 * AROUND) / max(float(np.ptp(self.at_N2, axis=0).max()), 1e-12)

    def draw(self, page: Page, x: float, y: float) -> None:
        room_2 = np.array(self.size())
        axes = page.axes(x, y, *room_2)
        axes.set(xlim=(0, room_2[0]), ylim=(0, room_2[1]), xticks=[], yticks=[])
        axes.spines[:].set_color(GREY)
        middle_2 = (self.at_N2.max(axis=0) + self.at_N2.min(axis=0)) / 2
        places_N2 = room_2 / 2 + self._unit() * (self.at_N2 - middle_2)
        axes.plot(*places_N2.T, "o", color=LINES[0], markersize=72 * DOT, markeredgewidth=0)
        names = [short(name, 20) for name in self.names]
        sizes_N2 = np.array([(0.2 + 0.64 * width(written(name, "s", NAMED)["s"]), 1.2) for name in names]) * NAMED / 72
        for name, place_2, at_2, size_2 in zip(
            names, places_N2, _free(places_N2, sizes_N2, room_2), sizes_N2, strict=True
        ):
            near_2 = np.clip(place_2, at_2 - size_2 / 2, at_2 + size_2 / 2)
            if np.linalg.norm(near_2 - place_2) > 2 * DOT:
                axes.plot(*np.stack([place_2, near_2]).T, color=GREY, linewidth=0.4)
            axes.text(*at_2, ha="center", va="center_baseline", **written(name, "s", NAMED))


def _free(places_N2: np.ndarray, sizes_N2: np.ndarray, room_2: np.ndarray) -> np.ndarray:
    """The middle of each name (N, 2): as near to its dot as it covers neither a dot nor another name."""
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    round_A2 = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    taken_M2, halves_M2 = places_N2, np.full_like(places_N2, DOT / 2)
    found = []
    for place_2, size_2 in zip(places_N2, sizes_N2, strict=True):
        reach_D = np.arange(DOT, room_2.max(), DOT)
        tried_T2 = (place_2 + round_A2 * (size_2 / 2 + reach_D[:, None, None])).reshape(-1, 2)
        inside_T = (np.abs(tried_T2 - room_2 / 2) <= (room_2 - size_2) / 2).all(axis=1)
        apart_TM = (np.abs(tried_T2[:, None] - taken_M2) >= size_2 / 2 + halves_M2).any(axis=2)
        best_2 = tried_T2[np.argmax(inside_T & apart_TM.all(axis=1))]  # the first; where there is none, beside it
        found.append(best_2)
        taken_M2, halves_M2 = np.vstack([taken_M2, best_2]), np.vstack([halves_M2, size_2 / 2])
    return np.array(found)


class Page:
    """A figure of parts beside each other, in rows, under a title."""

    def __init__(self, rows: Sequence[Sequence[Part]], title: str, below: str) -> None:
        sizes = [[part.size() for part in row] for row in rows]
        wide = max(sum(across for across, _ in row) + EDGE * (len(row) - 1) for row in sizes)
        highs = [max(height for _, height in row) for row in sizes]
        self.width = max(wide, 5.0) + 2 * EDGE
        self.height = sum(highs) + EDGE * (len(rows) - 1) + HEADER + EDGE
        self.figure = Figure(figsize=(self.width, self.height))
        # so many letters are in an inch
        self.text(EDGE, 0.16, short(title, int(9 * self.width)), 12, weight="bold", ha="left", va="top")
        self.text(EDGE, 0.42, short(below, int(13 * self.width)), 8.5, color=GREY, ha="left", va="top")
        y = HEADER
        for row, its, high in zip(rows, sizes, highs, strict=True):
            x = EDGE
            for part, (across, _) in zip(row, its, strict=True):
                part.draw(self, x, y)
                x += across + EDGE
            y += high + EDGE

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        box = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box)

    def text(self, x: float, y: float, text: str, size: float, **look: Any) -> None:
        self.figure.text(x / self.width, 1 - y / self.height, **written(text, "s", size), **look)


def written(text: str, name: str, size: float) -> dict[str, Any]:
    """matplotlib's arguments for a text, by its name for it, with letters that there are."""
    known = letters([text])
    return {name: known(text), "fontfamily": known.families, "fontsize": size}
