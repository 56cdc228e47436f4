"""Pictures: arrays and labels in, a matplotlib figure out, saved as PNG or SVG; above all of attention and positions.

T tokens, R and C rows and columns of an image's patches, N positions or names, K distances.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from finetune.errors import InputError
from finetune.outputs import write_bytes, writing

try:
    from matplotlib import style
    from matplotlib.figure import Figure

    from finetune.report.dots import Dots
    from finetune.report.grounds import Ground, Plain, Scale
    from finetune.report.lines import Curves
    from finetune.report.page import Page, Part
    from finetune.report.panels import Bar, Cell, Group
except ModuleNotFoundError as error:
    raise InputError("matplotlib draws the figures and is not installed: pip install 'finetune[figures]'") from error

ENDINGS = (".png", ".svg")
WIDEST = 7  # panels beside each other
ROOM = 24.0  # inches for all of them
OWN = {
    "svg.hashsalt": "finetune",  # names inside the file are otherwise random
    "svg.fonttype": "path",  # looks the same where the fonts are missing
    "text.parse_math": False,  # a token of dollars is no formula
    "axes.linewidth": 0.4,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}

Panels = Mapping[str, np.ndarray]  # weights by title: (T, T) of a text, (R, C) of an image


def maps(ground: Ground, heads: Panels, rollout: np.ndarray, *, title: str, below: str) -> Figure:
    """A panel for each head, all in one scale, and on their right the rollout in its own."""
    columns = _columns(len(heads))
    ground = ground.within(ROOM / (columns + 1))
    scale, own = Scale.of(heads.values()), Scale.of([rollout])
    cells = [
        Cell(row=index // columns, column=index % columns, weights=weights, scale=scale, title=name)
        for index, (name, weights) in enumerate(heads.items())
    ]
    rows = min(cells[-1].row, 1)
    shown = [Cell(row=0, column=0, weights=rollout, scale=own, title="rollout")]
    if ground.itself:
        shown.append(Cell(row=1, column=0, weights=np.empty(0), scale=own, title=ground.itself))
    side = ground.side if ground.itself or not rows else max(ground.side, min(2 * ground.side, ROOM / 5))
    groups = [
        Group(ground=ground, side=ground.side, cells=cells, bars=[Bar(scale=scale, says="weight", last=rows)]),
        Group(ground=ground, side=side, cells=shown, bars=[Bar(scale=own, says="share")]),
    ]
    return _drawn([groups], title, below)


def alignment(ground: Ground, looks: Panels, *, title: str, below: str) -> Figure:
    """A panel for each head or layer (T, S): what is written looks at what was read; all in one scale."""
    columns, scale = _columns(len(looks)), Scale.of(looks.values())
    ground = ground.within(ROOM / columns)
    cells = [
        Cell(row=index // columns, column=index % columns, weights=weights, scale=scale, title=name)
        for index, (name, weights) in enumerate(looks.items())
    ]
    bars = [Bar(scale=scale, says="weight", last=min(cells[-1].row, 1))]
    return _drawn([[Group(ground=ground, side=ground.side, cells=cells, bars=bars)]], title, below)


def change(
    ground: Ground, before: Panels, after: Panels, rollouts: tuple[np.ndarray, np.ndarray], *, title: str, below: str
) -> Figure:
    """Three rows: each head before, after, and the difference; wide models go on below. Then the rollout, likewise."""
    titles = list(before)
    columns = math.ceil(len(titles) / math.ceil(len(titles) / WIDEST))
    ground = ground.within(ROOM / (columns + 1))
    heads = _triples(ground, [(name, before[name], after[name]) for name in titles], columns, "weight")
    rollout = _triples(ground, [("rollout", *rollouts)], 1, "share")
    return _drawn([[heads, rollout]], title, below)


def positions(similar: Panels, falls: Panels, *, unit: str, tiled: bool, title: str, below: str) -> Figure:
    """A heat map for each kind of positions, all in one scale, and how likeness falls with distance.

    Args:
        similar: cosine similarity of each position with each (N, N), or mosaics of them, by kind.
        falls: mean similarity at each distance from 1 (K), by kind.
        unit: what stands at a position: tokens, patches.
        tiled: whether they are mosaics.
    """
    scale = Scale(min(0.0, *(float(np.nanmin(each)) for each in similar.values())), 1.0)
    ground = Plain("" if tiled else f"position in {unit}", numbered=not tiled)
    cells = [
        Cell(row=0, column=index, weights=each, scale=scale, title=name)
        for index, (name, each) in enumerate(similar.items())
    ]
    heat = Group(ground=ground, side=ground.side, cells=cells, bars=[Bar(scale=scale, says="cosine similarity")])
    curves = Curves(lines=falls, along=f"distance in {unit}", up="mean cosine similarity", side=ground.side)
    return _drawn([[heat, curves]], title, below)


def plane(names: Sequence[str], places_N2: np.ndarray, *, title: str, below: str) -> Figure:
    """Names where they lie on a plane, none of them over another."""
    return _drawn([[Dots(names=names, at_N2=places_N2, side=8.0)]], title, below)


def beside(parts: Sequence[Part], *, title: str, below: str) -> Figure:
    """Parts of any kind, from left to right; where they are wider than there is room, in rows."""
    across = sum(part.size()[0] for part in parts)
    columns = math.ceil(len(parts) / math.ceil(across / ROOM))
    rows = [parts[first : first + columns] for first in range(0, len(parts), columns)]
    return _drawn(rows, title, below)


def mosaic(similar_NN: np.ndarray, rows: int, columns: int, most: int = 8) -> np.ndarray:
    """Positions of a plane, a tile for each of at most `most` × `most` of them: how alike it is to every other one.

    The tiles lie where their positions do; between them are NaNs.
    """
    similar_RCRC = similar_NN.reshape(rows, columns, rows, columns)
    down, across = (np.linspace(0, side - 1, min(side, most)).round().astype(int) for side in (rows, columns))
    found = np.full((len(down) * (rows + 1) - 1, len(across) * (columns + 1) - 1), np.nan, dtype=np.float32)
    for tile_row, row in enumerate(down):
        for tile_column, column in enumerate(across):
            top, left = tile_row * (rows + 1), tile_column * (columns + 1)
            found[top : top + rows, left : left + columns] = similar_RCRC[row, column]
    return found


def check_ending(path: Path) -> None:
    """
    Raises:
        InputError: neither PNG nor SVG.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"a figure is saved as {' or '.join(ENDINGS)}, got {str(path)!r}")


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the same one gives the same bytes, at any time.

    Raises:
        InputError: the ending is not known, or the place cannot be written.
    """
    check_ending(path)
    content = (_svg if path.suffix.lower() == ".svg" else _png)(figure)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)


def _svg(figure: Figure) -> bytes:
    file = io.BytesIO()
    with _style():
        figure.savefig(file, format="svg", dpi=200, metadata={"Date": None})  # dots of the images in it
    return file.getvalue()


def _png(figure: Figure) -> bytes:
    drawn, file = io.BytesIO(), io.BytesIO()
    with _style():
        figure.savefig(drawn, format="png", dpi=120)
    Image.open(drawn).convert("RGB").save(file, "PNG", optimize=True)  # nothing is transparent: an eighth less
    return file.getvalue()


def _triples(ground: Ground, heads: list[tuple[str, np.ndarray, np.ndarray]], columns: int, says: str) -> Group:
    """Before, after and difference below each other, `columns` heads beside each other."""
    scale = Scale.of([weights for _, *pair in heads for weights in pair])
    changes = Scale.about_zero([after - before for _, before, after in heads])
    cells, names = [], {}
    for index, (name, before, after) in enumerate(heads):
        row, column = 3 * (index // columns), index % columns
        for step, (weights, own) in enumerate(((before, scale), (after, scale), (after - before, changes))):
            cells.append(Cell(row=row + step, column=column, weights=weights, scale=own, title="" if step else name))
            names[row + step] = ("before", "after", "difference")[step]
    bars = [Bar(scale=scale, says=says, first=0, last=1), Bar(scale=changes, says="change", first=2, last=2)]
    return Group(ground=ground, side=ground.side, cells=cells, bars=bars, names=names)


def _columns(count: int) -> int:
    """As many as leave the fewest places empty, of those that make the whole a little wider than high."""
    near = math.sqrt(1.5 * count)
    possible = range(math.ceil(math.sqrt(count)), max(math.ceil(math.sqrt(count)), min(WIDEST, count)) + 1)
    return min(possible, key=lambda columns: (-count % columns, abs(columns - near)))


def _drawn(rows: Sequence[Sequence[Part]], title: str, below: str) -> Figure:
    with _style():
        return Page(rows, title, below).figure


@contextmanager
def _style() -> Iterator[None]:
    """matplotlib's own look and ours, whatever the user's settings are; those are back afterwards."""
    with style.context(["default", OWN]):
        yield
