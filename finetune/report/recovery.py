"""What fine-tuning buys back: a row for each attention put into a checkpoint, a column for each method.

From result records alone. Methods are columns in the order they come; what no training costs is told by `stock_head`.
Of controls, random weights and shuffled labels are rows, and what has no backbone is told in a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from finetune.errors import InputError
from finetune.report.groups import CONTROLS, Failed, Group, differences, finals, groups
from finetune.report.notes import intervals, notes
from finetune.report.tables import MISSING, Table, percent
from finetune.result import Result
from finetune.stats import Estimate
from finetune.system import System, estimate

UNTRAINED = "stock_head"
NAMES = {UNTRAINED: "no training"}
ALONE = "no attention but the checkpoint's own: `finetune compare … --attention stock,uniform` sets others beside it"


def recovery(results: Iterable[Result], failed: Iterable[Failed] = ()) -> Table:
    """Scores of every method with every attention, how far untrained predictions moved, and the cost of an update.

    "bought back" is how far the best method leads from what the swap has left without training to the best score with
    the checkpoint's own attention, which is 100 %. A swap whose loss lies within the intervals has none.

    Raises:
        InputError: two groups of runs would share a cell.
    """
    every = groups(finals(results), failed)
    twice = [group for group, apart in zip(every, differences(every), strict=True) if apart]
    if twice:
        raise InputError(f"a table by attention has one cell for {twice[0].label}, which was run with several settings")
    bare = [group for group in every if group.settings["method"] in CONTROLS["method"]]
    found = [group for group in every if group not in bare]
    methods = list(dict.fromkeys(group.method for group in found))
    trained = [method for method in methods if any(_update(group) for group in found if group.method == method)]
    header = (
        "recipe",
        "attention",
        "train rows",
        "test rows",
        "seeds",
        "moved, nats",
        *(f"{NAMES.get(method, method)} %" for method in methods),
        *(["bought back %"] if UNTRAINED in methods else []),
        *(f"{method} ms/update" for method in trained),
    )
    rows = []
    for name, attention in dict.fromkeys((group.name, group.attention) for group in found):
        own = {group.method: group for group in found if (group.name, group.attention) == (name, attention)}
        stock = {group.method: group for group in found if (group.name, group.attention) == (name, "stock")}
        row = (name, attention, *_counts(own), _moved(own.get(UNTRAINED)), *(_cell(own.get(each)) for each in methods))
        back = [_bought_back(own, stock)] if UNTRAINED in methods else []
        rows.append((*row, *back, *(_milliseconds(own.get(method)) for method in trained)))
    told = () if any(group.attention != "stock" for group in found) else (ALONE,)
    return Table(header, tuple(rows), (*told, *_bare(bare), *intervals(every), *notes(every)))


def _bare(groups: Sequence[Group]) -> Iterator[str]:
    """What there is to be had without a backbone."""
    for name in dict.fromkeys(group.name for group in groups):
        said = (f"{group.method} {_cell(group)} %" for group in groups if group.name == name)
        yield f"{name} without a backbone: {', '.join(said)}"


def _counts(groups: dict[str, Group]) -> tuple[str, str, str]:
    runs = [group.results for group in groups.values() if group.results]
    if not runs:
        return MISSING, MISSING, MISSING
    seeds = {len(each) for each in runs}
    first = runs[0][0]
    return str(first.rows["train"]), str(first.rows["test"]), "–".join(map(str, sorted({min(seeds), max(seeds)})))


def _moved(group: Group | None) -> str:
    found = [run.scores["divergence"].value for run in _sound(group) if "divergence" in run.scores]
    return f"{sum(found) / len(found):.2g}" if found else MISSING


def _cell(group: Group | None) -> str:
    """Mean over seeds of the headline score, with its interval."""
    if group is None or not group.results:
        return MISSING
    if len(_sound(group)) < len(group.results):
        return next(run.status for run in group.results if run.status != "done")
    found = _score(group)
    assert found is not None
    return percent(found)


def _bought_back(own: dict[str, Group], stock: dict[str, Group]) -> str:
    left, before = _score(own.get(UNTRAINED)), _score(stock.get(UNTRAINED))
    best, whole = _best(own), _best(stock)
    if left is None or before is None or best is None or whole is None:
        return MISSING
    if left.high is None or before.low is None or before.low <= left.high:
        return MISSING  # what is lost is within the noise, and has no shares
    return f"{100 * (best.value - left.value) / (whole.value - left.value):.0f}"


def _best(groups: dict[str, Group]) -> Estimate | None:
    found = [score for method, group in groups.items() if method != UNTRAINED and (score := _score(group)) is not None]
    return max(found, key=lambda score: score.value, default=None)


def _score(group: Group | None) -> Estimate | None:
    """The headline score of the runs that came to one."""
    runs = tuple(_sound(group))
    return estimate(System(name="", runs=runs)) if runs else None


def _update(group: Group | None) -> float | None:
    """Seconds of an update through the backbone; a head on cached features has none."""
    runs = [run for run in _sound(group) if run.updates and not run.seconds["features"]]
    return sum(run.seconds["train"] / run.updates for run in runs) / len(runs) if runs else None


def _milliseconds(group: Group | None) -> str:
    seconds = _update(group)
    return MISSING if seconds is None else f"{1e3 * seconds:.0f}"


def _sound(group: Group | None) -> Sequence[Result]:
    return [run for run in group.results if run.status == "done"] if group else []
