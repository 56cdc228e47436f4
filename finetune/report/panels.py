"""Panels on one ground, in rows and columns, with the bars of their colours: a part of a page.

Lengths are inches from the upper left corner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from finetune.report.grounds import GREY, Ground, Scale
from finetune.report.page import TITLED, Page, Part, written

BAR, BAR_ROOM = 0.10, 0.68


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
