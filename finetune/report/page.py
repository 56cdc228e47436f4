"""A figure laid out by the inch: parts beside each other, in rows, under a title.

Lengths are inches from the upper left corner.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from finetune.report.fonts import letters, short
from finetune.report.grounds import GREY

TITLED, EDGE, HEADER = 0.28, 0.25, 0.62  # above a part with a title, around all, above all
COLOURS = ("#31688e", "#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#a6761d")  # of what is drawn beside each other


class Part(ABC):
    """Something that has a place on a page."""

    @abstractmethod
    def size(self) -> tuple[float, float]:
        """Width and height."""

    @abstractmethod
    def draw(self, page: Page, x: float, y: float) -> None:
        """With its upper left corner there."""


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
