"""What a comparison at one learning rate for all methods would have said, beside each method at its own best.

From result records alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from finetune.choice import validated
from finetune.report.families import Family, families
from finetune.report.groups import Failed
from finetune.report.tables import MISSING, Table, without_idle
from finetune.report.trials import cell
from finetune.result import Result

OWN = "each its own"
NOTES = (
    "validation scores of one seed, ± half of their 95 % interval; “each its own” is what was chosen and compared",
    "ahead: the best of the row, and by how many points; with one rate for all that is as much the rate's doing",
)
NONE = "no two methods were tried at learning rates: `finetune compare … --methods lora,full --trials 5` does"


def shared(results: Iterable[Result], _: Iterable[Failed] = ()) -> Table:
    """A row for each learning rate that all methods of a recipe were tried at, and one for each at its own best."""
    alike: dict[tuple[str, str], list[Family]] = {}
    for family in families(results):
        if family.best_rate is not None:
            alike.setdefault((family.names[0], family.names[3]), []).append(family)
    several = {key: found for key, found in alike.items() if len(found) > 1}
    methods = list(dict.fromkeys(_column(family) for found in several.values() for family in found))
    header = ("recipe", "settings", "score", "validation rows", "learning rate", *methods, "ahead")
    rows = [row for (name, apart), found in several.items() for row in _rows((name, apart or MISSING), found, methods)]
    return without_idle(Table(header, tuple(rows), NOTES if rows else (NONE,)))


def _column(family: Family) -> str:
    return " ".join(each for each in family.names[1:3] if each != "stock")


def _rows(names: tuple[str, str], found: Sequence[Family], methods: Sequence[str]) -> Iterable[tuple[str, ...]]:
    best = {_column(family): trial for family in found if (trial := family.best) is not None}
    first = next(iter(best.values()))
    start = (*names, next(iter(first.validation)), str(first.rows["validation"]))
    for rate in sorted(set.intersection(*(set(family.rates) for family in found))):
        at = {_column(family): family.rates[rate] for family in found}
        yield (*start, f"{rate:g}", *(cell(at.get(method)) for method in methods), _ahead(at))
    yield (*start, OWN, *(cell(best.get(method)) for method in methods), _ahead(best))


def _ahead(trials: Mapping[str, Result]) -> str:
    """Which is ahead of the next, and by how much; a trial that came to no score is behind all that did."""
    scores = {name: 100 * validated(trial).value for name, trial in trials.items() if trial.validation}
    first, *others = sorted(scores, key=lambda name: -scores[name]) or [MISSING]
    if not others:
        return first
    ahead = scores[first] - scores[others[0]]
    return f"{first} by {ahead:.1f}" if ahead else "none"
