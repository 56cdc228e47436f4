"""What came out over what was varied — rates, layers, labels, lengths, sizes — as a picture: a line a method.

From result records alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from finetune import paired
from finetune.errors import InputError
from finetune.points import Points, Quantity, Series
from finetune.report import figures
from finetune.report.families import families
from finetune.report.groups import brief, finals, groups
from finetune.report.labels import Alike, Curve, alike, curves
from finetune.report.lengths import by_length, longest
from finetune.report.lines import Band, Bands
from finetune.report.responses import responses
from finetune.report.studies import estimate
from finetune.result import Result
from finetune.stats import Estimate
from finetune.system import effective, right, validated


def rates(results: Iterable[Result]) -> Figure:
    """Validation scores by learning rate."""
    panels: dict[str, list[Band]] = {}
    for family in families(results):
        found = {rate: validated(run) for rate, run in sorted(family.rates.items()) if run.validation}
        if found:
            panels.setdefault(family.names[0], []).append(_band(" ".join(family.names[1:2]), found))
    return _drawn(
        list(panels.items()),
        "learning rate",
        "validation %",
        "Learning-rate response",
        "95 % intervals over validation rows",
    )


def rated(results: Iterable[Result]) -> Figure:
    """Test scores by learning rate, of runs that are no trials: a panel a recipe."""
    panels: dict[str, list[Band]] = {}
    for each in responses(groups(finals(results))):
        if each.scores:
            panels.setdefault(each.first.names[0], []).append(_band(each.name or each.first.method, each.scores))
    said = "95 % intervals over test rows and seeds"
    return _drawn(list(panels.items()), "learning rate", "test %", "Score by the learning rate", said)


def layers(results: Iterable[Result]) -> Figure:
    """Validation scores of the best ridge at each layer of a frozen backbone, a line a pooling."""
    panels: dict[str, list[Band]] = {}
    for run in (each for each in results if each.choice is not None):
        label, n = groups([run])[0].label, run.rows["validation"]
        of_pooling: dict[str, dict[float, Estimate]] = {}
        for place in (run.choice or {})["places"]:
            found = Estimate(place["ridge"], None, None, n)
            of_pooling.setdefault(place["pooling"], {})[place["layer"]] = found
        panels[label] = [_band(pooling, each) for pooling, each in of_pooling.items()]
    said = "of a ridge on the features of each layer; 0 is what the embeddings say"
    return _drawn(
        list(panels.items()),
        "layer",
        "validation %",
        "Where a frozen backbone knows the answer",
        said,
        logarithmic=False,
    )


def budgets(results: Iterable[Result]) -> Figure:
    """Test scores by the number of training rows, but for controls: a panel for all tested on the same rows."""
    every: dict[Alike, list[tuple[Curve, dict[int, Estimate]]]] = {}
    for curve in (each for each in curves(groups(finals(results))) if not each.control):
        systems = [system for cap in curve.budgets if (system := curve.system(cap)) is not None]
        found = {system.runs[0].rows["train"]: paired.share(right(system), effective(system)) for system in systems}
        if found:
            every.setdefault(alike(systems[0]), []).append((curve, dict(sorted(found.items()))))
    panels = []
    for known in every.values():
        names = list(dict.fromkeys(curve.names[0] for curve, _ in known))
        first = 1 if len(names) == 1 else 0
        panels.append((" and ".join(names), [_band(" ".join(curve.names[first:2]), found) for curve, found in known]))
    said = "95 % intervals over test rows and seeds"
    return _drawn(panels, "training rows", "test %", "How many labels each method needs", said)


def lengths(results: Iterable[Result]) -> Figure:
    """Test scores by the length of the source, all recipes in one panel."""
    known = [(group, found) for group in groups(finals(results)) if (found := by_length(group))]
    every = [group for group, _ in known]
    alone = len({group.method for group in every}) == 1
    named = [
        f"{group.name if alone else group.label} {own}".strip() for group, own in zip(every, brief(every), strict=True)
    ]
    limits = {longest(group) for group in every}
    limit = next(iter(limits)) if len(limits) == 1 else None
    trained = "" if limit is None else f"; trained on sources of at most {limit}"
    said = f"95 % intervals over test rows and seeds{trained}"
    lines = [_band(name, found) for name, (_, found) in zip(named, known, strict=True)]
    panels = [("", lines)] if lines else []
    return _drawn(panels, "length of the source", "test %", "Score by the length", said, logarithmic=False)


def studied(points: Points) -> Figure:
    """What a study measured: a panel for each quantity that is to be drawn, of each of its panels."""
    parts = [
        Bands(
            lines=_lines([each for each in points.series if each.panel == panel], what),
            along=points.along,
            up=what.name,
            title=panel,
            side=3.0,
            steep=what.steep,
        )
        for panel in dict.fromkeys(each.panel for each in points.series)
        for what in points.quantities
        if what.drawn
    ]
    said = f"mean over {points.seeds} seeds and its 95 % interval" if points.seeds > 1 else "one seed"
    return figures.beside(parts, title=points.title, below=said)


def _lines(series: Sequence[Series], what: Quantity) -> list[Band]:
    found: dict[str, dict[float, Estimate]] = {}
    for each in series:
        found.setdefault(each.line, {})[each.at] = estimate(each, what)
    return [_band(name, line, 1) for name, line in found.items()]


def _band(name: str, found: Mapping[int, Estimate] | Mapping[float, Estimate], unit: float = 100) -> Band:
    low = [each.value if each.low is None else each.low for each in found.values()]
    high = [each.value if each.high is None else each.high for each in found.values()]
    values, lows, highs = (unit * np.array(each) for each in ([each.value for each in found.values()], low, high))
    return Band(name=name, at=np.array(list(found), dtype=float), values=values, lows=lows, highs=highs)


def _drawn(
    panels: Sequence[tuple[str, Sequence[Band]]],
    along: str,
    up: str,
    title: str,
    below: str,
    *,
    logarithmic: bool = True,
) -> Figure:
    if not panels:
        raise InputError(f"there is nothing to draw over {along}: no run was made for that")
    parts = [
        Bands(lines=lines, along=along, up=up, title=name, side=3.0, logarithmic=logarithmic) for name, lines in panels
    ]
    return figures.beside(parts, title=title, below=below)
