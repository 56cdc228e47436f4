"""What a comparison at one learning rate for all methods would have said, beside each method at its own best.

From result records alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from finetune.report.families import Family, families
from finetune.report.groups import Failed
from finetune.report.tables import MISSING, Table, without_idle
from finetune.report.trials import cell
from finetune.result import Result
from finetune.system import validated

OWN = "each its own"
NOTES = (
    "validation scores of one seed, ± half of their 95 % interval; “each its own” is what was chosen and compared",
    "ahead: the best of the row, and by how many points, whatever the intervals say of it",
)
NONE = (
    "no two methods were tried at learning rates: `finetune compare … --methods lora,full --trials 5` does; and "
    "no runs differ in the learning rate and the seed alone"
)


def shared(results: Iterable[Result], _: Iterable[Failed] = ()) -> Table:
    """A row for each learning rate that all were tried at or one did best at, and one for each at its own best."""
    alike: dict[str, list[Family]] = {}
    for family in families(results):
        if family.best_rate is not None:
            alike.setdefault(family.beside, []).append(family)
    several = [_columns(found) for found in alike.values() if len(found) > 1]
    columns = list(dict.fromkeys(name for found in several for name in found))
    header = ("recipe", "attention", "settings", "score", "validation rows", "learning rate", *columns, "ahead")
    rows = tuple(row for found in several for row in _rows(found, columns))
    return without_idle(Table(header, rows, NOTES if rows else (NONE,)))


def _columns(found: Sequence[Family]) -> dict[str, Family]:
    """Methods by name; of a method with several settings of its own, by those as well."""
    names = [family.names[1] for family in found]
    return {
        family.names[1] if names.count(family.names[1]) == 1 else f"{family.names[1]} {family.names[3]}": family
        for family in found
    }


def _rows(found: Mapping[str, Family], columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    best = {name: trial for name, family in found.items() if (trial := family.best) is not None}
    first, places = next(iter(best.values())), [family.names for family in found.values()]
    apart = max((settings for *_, settings in places), key=len)
    recipe, _, attention, _ = places[0]
    start = (recipe, attention, apart or MISSING, next(iter(first.validation)), str(first.rows["validation"]))
    tried = [set(family.everywhere) for family in found.values()]
    bests = {family.best_rate for family in found.values() if family.best_rate is not None}
    for rate in sorted(set.intersection(*tried) | bests):
        at = {name: family.everywhere.get(rate) for name, family in found.items()}
        yield (*start, f"{rate:g}", *(cell(at.get(name)) for name in columns), _ahead(at))
    yield (*start, OWN, *(cell(best.get(name)) for name in columns), _ahead(best))


def _ahead(trials: Mapping[str, Result | None]) -> str:
    """Which is ahead of the next, and by how much, where all were tried; one without a score is behind all others."""
    if None in trials.values():
        return MISSING
    scores = {
        name: 100 * validated(each).value for name, each in trials.items() if each is not None and each.validation
    }
    first, *others = sorted(scores, key=lambda name: -scores[name]) or [MISSING]
    if not others:
        return first
    ahead = f"{scores[first] - scores[others[0]]:.1f}"
    return "none" if float(ahead) == 0 else f"{first} by {ahead}"
