"""A figure laid out by the inch: panels of weights in rows and columns, what lies under them, and their colour bars.

Lengths are inches from the upper left corner. T tokens, R and C rows and columns of an image's patches, H and W pixels.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from finetune.report.fonts import letters, short

TITLED, EDGE, HEADER = 0.28, 0.25, 0.62  # above a panel with a title, around all, above all
BAR, BAR_ROOM = 0.10, 0.68
ROUNDING = 1e-6  # in weights computed in float32
PITCH = 0.075  # between labels: closer ones are not legible
GREY, LINES = "#555555", ("#31688e", "#d95f02")


@dataclass(frozen=True)
class Scale:
    """From numbers to colours: one for all panels that are to be compared."""

    low: float
    high: float
    signed: bool = False  # on either side of zero

    @staticmethod
    def of(arrays: Iterable[np.ndarray]) -> Scale:
        """From zero to the greatest; about zero where there are numbers below it."""
        arrays = list(arrays)
        if min(float(each.min()) for each in arrays) < 0:
            return Scale.about_zero(arrays)
        return Scale(0.0, max(float(each.max()) for each in arrays) or 1.0)

    @staticmethod
    def about_zero(arrays: Iterable[np.ndarray]) -> Scale:
        """As far below zero as above it. What is no more than rounding is nothing."""
        high = max(float(np.abs(each).max()) for each in arrays)
        high = high if high > ROUNDING else 1.0
        return Scale(-high, high, signed=True)


class Ground(ABC):
    """What lies under the weights of a panel, and what stands at its edges."""

    colours: str = "magma_r"  # perceptually uniform
    side: float  # of a panel
    room: float = 0.0  # for what stands beside a panel, and beneath it
    gap: float = 0.08  # between panels
    itself: str = ""  # what it is called where it is worth a panel of its own

    def within(self, side: float) -> Ground:
        """The same for panels no larger than that."""
        return self

    def coloured(self, scale: Scale) -> ScalarMappable:
        """The colours of a scale; of one on either side of zero, two that are white in the middle."""
        return ScalarMappable(Normalize(scale.low, scale.high), "RdBu_r" if scale.signed else self.colours)

    @abstractmethod
    def draw(self, axes: Axes, weights: np.ndarray, scale: Scale) -> None: ...

    def label(self, axes: Axes, *, beside: bool, beneath: bool) -> None:
        axes.set_xticks([])
        axes.set_yticks([])


class Text(Ground):
    """A row for each token that looks, a column for each that is looked at: weights are (T, T)."""

    def __init__(self, tokens: Sequence[str], most: float = 6.0) -> None:
        known = letters(tokens)
        self.given, self.families, self.tokens = tokens, known.families, [short(known(token)) for token in tokens]
        self.side = min(most, max(1.5, 0.1 * len(tokens)))
        self.step = math.ceil(PITCH * len(tokens) / self.side)  # of every so many tokens one has a label
        self.size = min(8.0, 0.85 * 72 * self.side / math.ceil(len(tokens) / self.step))  # points, 72 to an inch
        self.room = 0.1 + 0.62 * self.size / 72 * max(map(len, self.tokens))

    def within(self, side: float) -> Text:
        return Text(self.given, side)

    def draw(self, axes: Axes, weights: np.ndarray, scale: Scale) -> None:
        axes.imshow(self.coloured(scale).to_rgba(weights), interpolation="none")

    def label(self, axes: Axes, *, beside: bool, beneath: bool) -> None:
        places, shown = range(0, len(self.tokens), self.step), self.tokens[:: self.step]
        look = {"fontsize": self.size, "fontfamily": self.families}
        axes.set_xticks(places if beneath else [], shown if beneath else [], rotation=90, **look)
        axes.set_yticks(places if beside else [], shown if beside else [], **look)


class Picture(Ground):
    """An image (Y, X, C), numbers from 0 to 1, under the weights (R, C) of its patches; no weights: the image alone."""

    colours, side, itself = "inferno", 1.25, "the input"

    def __init__(self, image_YXC: np.ndarray) -> None:
        self.image_YXC = image_YXC
        self.grey_YXC = image_YXC.mean(-1, keepdims=True).repeat(3, axis=-1)  # colours are the weights'

    def draw(self, axes: Axes, weights: np.ndarray, scale: Scale) -> None:
        edges = (0.0, 1.0, 1.0, 0.0)
        axes.spines[:].set_visible(False)
        if not weights.size:
            axes.imshow(self.image_YXC, extent=edges, interpolation="none")
            return
        axes.imshow(self.grey_YXC, extent=edges, interpolation="none")
        colours_RC4 = self.coloured(scale).to_rgba(weights)
        # what is looked at hides what is there
        colours_RC4[..., 3] = 0.45 + 0.45 * np.abs(weights) / max(abs(scale.low), abs(scale.high))
        axes.imshow(colours_RC4, extent=edges, interpolation="bilinear")


class Plain(Ground):
    """Nothing: the array is all there is to see. Its rows and columns are numbered, unless it is a mosaic."""

    side, gap = 3.4, 0.3

    def __init__(self, says: str, *, numbered: bool) -> None:
        self.says, self.numbered, self.room = says, numbered, 0.45 if numbered else 0.05

    def draw(self, axes: Axes, weights: np.ndarray, scale: Scale) -> None:
        axes.imshow(self.coloured(scale).to_rgba(weights), interpolation="auto")  # there may be more cells than dots

    def label(self, axes: Axes, *, beside: bool, beneath: bool) -> None:
        axes.tick_params(labelsize=7, labelleft=beside and self.numbered, labelbottom=self.numbered)
        axes.set_xlabel(self.says, fontsize=8, color=GREY)


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
        for colour, numbers in zip(LINES, self.lines.values(), strict=True):
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
        for index, (colour, name) in enumerate(zip(LINES, self.lines, strict=True)):
            place = {"x": 0.99, "y": 0.97 - 0.06 * index, "ha": "right", "va": "top", "transform": axes.transAxes}
            axes.text(color=colour, **place, **written(name, "s", 8))


class Page:
    """A figure of parts beside each other, under a title."""

    def __init__(self, parts: Sequence[Part], title: str, below: str) -> None:
        widths, heights = zip(*(part.size() for part in parts), strict=True)
        self.width = max(sum(widths) + EDGE * (len(parts) - 1), 5.0) + 2 * EDGE
        self.height = max(heights) + HEADER + EDGE
        self.figure = Figure(figsize=(self.width, self.height))
        # so many letters are in an inch
        self.text(EDGE, 0.16, short(title, int(9 * self.width)), 12, weight="bold", ha="left", va="top")
        self.text(EDGE, 0.42, short(below, int(13 * self.width)), 8.5, color=GREY, ha="left", va="top")
        x = EDGE
        for part, width in zip(parts, widths, strict=True):
            part.draw(self, x, HEADER)
            x += width + EDGE

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        box = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box)

    def text(self, x: float, y: float, text: str, size: float, **look: Any) -> None:
        self.figure.text(x / self.width, 1 - y / self.height, **written(text, "s", size), **look)


def written(text: str, name: str, size: float) -> dict[str, Any]:
    """matplotlib's arguments for a text, by its name for it, with letters that there are."""
    known = letters([text])
    return {name: known(text), "fontfamily": known.families, "fontsize": size}
