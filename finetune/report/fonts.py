"""Letters for a figure in whatever writing: by the fonts of this machine, and what none of them has spelled out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.ft2font import FT2Font

DEFAULT = "DejaVu Sans"  # comes with matplotlib


@dataclass(frozen=True)
class Letters:
    """Fonts that together have the characters of some texts, and the characters that none of them has."""

    families: tuple[str, ...]  # the first that has a character draws it
    missing: frozenset[str]

    def __call__(self, text: str) -> str:
        """The text as it can be drawn: ⟨code points⟩ stand for what cannot."""
        if not self.missing:
            return text
        run = re.compile(f"[{re.escape(''.join(sorted(self.missing)))}]+")
        return run.sub(lambda found: f"⟨{' '.join(f'{ord(letter):04X}' for letter in found[0])}⟩", text)


def letters(texts: Iterable[str]) -> Letters:
    """Letters for these texts: the default font's, and where it lacks some, those of the font that has most of them."""
    wanted = set("".join(texts))
    drawable = {letter for letter in wanted if letter.isprintable()}
    families = [DEFAULT]
    rest = drawable - _of(DEFAULT, drawable)
    while rest:
        best = max(_families(), key=lambda family: len(_of(family, rest)), default=DEFAULT)
        if not (found := _of(best, rest)):
            break
        families.append(best)
        rest = rest - found
    return Letters(tuple(families), frozenset(wanted - drawable | rest))


def width(text: str) -> int:
    """How many letters wide it is; one of East Asia is as wide as two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def short(text: str, most: int = 14) -> str:
    """A label no wider than so many letters."""
    if width(text) <= most:
        return text
    while width(text) >= most:
        text = text[:-1]
    return f"{text}…"


@cache
def _families() -> tuple[str, ...]:
    """Upright fonts by name. One of last resort has a box for every character, which says nothing."""
    plain = (400, "normal", "regular", "book")
    upright = {entry.name for entry in fontManager.ttflist if entry.style == "normal" and entry.weight in plain}
    return tuple(sorted(name for name in upright if "resort" not in name.lower() and name != DEFAULT))


@cache
def _font(family: str) -> FT2Font | None:
    """The file that matplotlib takes for a family; None for one that it cannot draw with."""
    try:
        font = FT2Font(fontManager.findfont(FontProperties(family=[family]), fallback_to_default=False))
    except (OSError, RuntimeError, ValueError):
        return None
    return font if font.scalable else None


def _of(family: str, wanted: set[str]) -> set[str]:
    """Those of the wanted characters that a family has."""
    font = _font(family)
    return set() if font is None else {letter for letter in wanted if font.get_char_index(ord(letter))}
