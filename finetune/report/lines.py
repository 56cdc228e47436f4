"""Lines over what was varied, with their intervals or without, each named beside its end: parts of a page.

Lengths are inches from the upper left corner.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator

from finetune.report.fonts import width
from finetune.report.grounds import GREY
from finetune.report.page import COLOURS, TITLED, Page, Part, written

MARKED = 16  # places of a line that are marked each, and told by their numbers
LETTERS = 14  # of a name of a line, in an inch


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
        for colour, numbers in zip(COLOURS, self.lines.values(), strict=False):
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
        for index, (colour, name) in enumerate(zip(COLOURS, self.lines, strict=False)):
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
        for colour, line in zip(itertools.cycle(COLOURS), self.lines, strict=False):
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
        for colour, line, height in zip(
            itertools.cycle(COLOURS), self.lines, self._apart(axes.get_ylim()), strict=False
        ):
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
