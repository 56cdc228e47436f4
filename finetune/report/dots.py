"""Dots on a plane, each with its name where that covers nothing: a part of a page.

Lengths are inches from the upper left corner. N dots, A angles, D distances, T places that are tried, M that are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finetune.report.fonts import short, width
from finetune.report.grounds import GREY
from finetune.report.page import COLOURS, Page, Part, written

NAMED, DOT, AROUND = 7.5, 0.05, 0.5  # points of a dot's name; inches of a dot, and around all of them


@dataclass(frozen=True, kw_only=True)
class Dots(Part):
    """Dots on a plane, as far from each other across as upwards; each has its name beside it, if need be by a line."""

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
        axes.plot(*places_N2.T, "o", color=COLOURS[0], markersize=72 * DOT, markeredgewidth=0)
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
