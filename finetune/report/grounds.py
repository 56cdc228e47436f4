"""What lies under the weights of a panel: a text, an image, nothing; and the colours of the weights.

Lengths are inches. T tokens, R and C rows and columns of an image's patches, C channels, Y and X pixels.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from finetune.report.fonts import letters, short, width

ROUNDING = 1e-6  # in weights computed in float32
PITCH = 0.075  # between labels: closer ones are not legible
GREY = "#555555"


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
        self.room = 0.1 + 0.62 * self.size / 72 * max(map(width, self.tokens))

    def within(self, side: float) -> Text:
        return Text(self.given, side)

    def draw(self, axes: Axes, weights: np.ndarray, scale: Scale) -> None:
        axes.imshow(self.coloured(scale).to_rgba(weights), interpolation="none")

    def label(self, axes: Axes, *, beside: bool, beneath: bool) -> None:
        places, shown = range(0, len(self.tokens), self.step), self.tokens[:: self.step]
        look = {"fontsize": self.size, "fontfamily": self.families}
        axes.set_xticks(places if beneath else [], shown if beneath else [], rotation=90, **look)
        axes.set_yticks(places if beside else [], shown if beside else [], **look)


class Between(Ground):
    """A row for each token of one text, a column for each of another that it looks at: weights are (T, S)."""

    def __init__(self, rows: Sequence[str], columns: Sequence[str], most: float = 6.0) -> None:
        self.down, self.across = Text(rows, most), Text(columns, most)
        self.side, self.room = max(self.down.side, self.across.side), max(self.down.room, self.across.room)

    def within(self, side: float) -> Between:
        return Between(self.down.given, self.across.given, side)

    def draw(self, axes: Axes, weights: np.ndarray, scale: Scale) -> None:
        axes.imshow(self.coloured(scale).to_rgba(weights), interpolation="none", aspect="auto")

    def label(self, axes: Axes, *, beside: bool, beneath: bool) -> None:
        self.across.label(axes, beside=False, beneath=beneath)
        if beside:
            text = self.down
            places, shown = range(0, len(text.tokens), text.step), text.tokens[:: text.step]
            axes.set_yticks(places, shown, fontsize=text.size, fontfamily=text.families)


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
