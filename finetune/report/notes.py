"""What stands under a table: what a reader must know of its rows and no cell says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from finetune.items import Items, shared_groups
from finetune.report import judging
from finetune.report.families import head
from finetune.report.groups import Group, named_alone
from finetune.result import Result
from finetune.stats import Estimate, averaged
from finetune.system import System, contents, right, unfit
from finetune.watch import PATIENCE, TIMES

FEW = 30  # updates of a backbone
BUSY = 0.1  # of its time to run, that a run waited for a core
BRIEF = 10  # seconds of a run, of which nobody takes the time for a measurement
SHOWN = 5  # labels in a line


def notes(groups: Sequence[Group], *, judged: bool = True) -> tuple[str, ...]:
    """A line for each thing to know, said once, however many rows it is true of.

    Args:
        judged: also which of few rows is better.
    """
    results = [result for group in groups for result in group.results]
    lines = [
        *_machines(results),
        *_waited(groups),
        *grouped(results),
        *_repeated(results),
        *_cut(results),
        *_unseen(results),
        *_augmented(groups),
        *_heads(groups),
        *short(groups),
        *_errors(groups),
        *lost(groups),
        *single(groups),
        *changed(results),
        *(judging.verdicts(groups) if judged else ()),
        *judging.controls(groups),
        *judging.alike(groups),
    ]
    return tuple(dict.fromkeys(lines))


def _machines(results: Sequence[Result]) -> Iterator[str]:
    made = Counter(run.machine for run in results)
    if len(made) > 1:
        yield "times do not compare: runs are of " + "; ".join(f"{where} ({runs})" for where, runs in made.items())


def _waited(groups: Sequence[Group]) -> Iterator[str]:
    """Rows whose times are of a machine that had other things to do."""
    shares = {
        group.label: [
            run.environment.get("waited") or 0.0
            for run in group.results
            if run.seconds["train"] + run.seconds["features"] > BRIEF
        ]
        for group in groups
    }
    if busy := {label: max(each) for label, each in shares.items() if max(each, default=0.0) > BUSY}:
        rows = ", ".join(f"{label} {100 * share:.0f} %" for label, share in busy.items())
        yield f"times are too long, for others had the cores: of its time to run each of these waited up to: {rows}"


def _heads(groups: Sequence[Group]) -> Iterator[str]:
    """Of rows whose head was chosen in the run itself; seeds that choose alike are one line."""
    for group in groups:
        for run in group.results:
            if run.choice is not None and not run.trial:
                yield f"{group.label}: {head(run)}"


def grouped(results: Sequence[Result]) -> Iterator[str]:
    """Recipes whose intervals are not over single rows, or should not be."""
    items: dict[tuple[str, str], list[Items]] = {}
    for result in named_alone(results):
        if result.items is not None:
            items.setdefault((result.recipe["name"], result.items.ids), []).append(result.items)
    for (name, _), own in items.items():
        groups_N = shared_groups(own)
        if groups_N is not None:
            sizes_G = np.bincount(groups_N)
            count = f"its {len(groups_N)} test rows are of {len(sizes_G)} groups of up to {sizes_G.max()}"
            yield f"{name}: {count}, and intervals are over these, for rows of one are alike"
        elif any(each.groups is not None for each in own):
            yield f"{name}: not all records tell the same groups of its test rows, so each row counts as alone"


def _repeated(results: Sequence[Result]) -> Iterator[str]:
    for result in named_alone(results):
        if count := result.test_rows_in_train:
            texts = f"{count} of {result.rows['test']} test texts"
            yield f"{result.recipe['name']}: {texts} also in train; that flatters every method alike"


def _cut(results: Sequence[Result]) -> Iterator[str]:
    for result in named_alone(results):
        if count := sum(result.truncated.values()):
            longest = result.recipe["task"].get("max_length")
            length = f"{longest} tokens" if longest else "the longest the model reads"
            yield f"{result.recipe['name']}: {count} of {sum(result.rows.values())} texts cut to {length}"


def held_out(results: Iterable[Result]) -> Iterator[str]:
    """Rows that those who publish train on and ours choose by."""
    rows: dict[str, list[int]] = {}
    for run in named_alone(list(results)):
        if count := run.rows["validation"]:
            rows.setdefault(run.recipe["name"], []).append(count)
    told = [
        f"{name} {' to '.join(map(str, dict.fromkeys((min(counts), max(counts)))))}" for name, counts in rows.items()
    ]
    if told:
        yield f"held out of the training rows, for validation: {', '.join(told)}"


def _unseen(results: Sequence[Result]) -> Iterator[str]:
    """Labels that nothing could be learned of."""
    for result in named_alone(results):
        if result.unseen:
            shown = ", ".join(result.unseen[:SHOWN]) + " …" * (len(result.unseen) > SHOWN)
            labels = f"{len(result.unseen)} of {len(result.labels)} labels"
            rows = f"none of the {result.rows['train']} training rows"
            yield f"{result.recipe['name']}: {labels} have {rows}, so nothing learns them: {shown}"


def _augmented(groups: Sequence[Group]) -> Iterator[str]:
    """Recipes of which some methods had their training rows drawn anew in each epoch, and others not."""
    rows = [group for group in groups if not group.control]
    drawn = {group.label for group in rows if group.settings.get("augmentation") is not None}
    for name in dict.fromkeys(group.name for group in rows if group.label in drawn):
        others = dict.fromkeys(group.label for group in rows if group.name == name and group.label not in drawn)
        if others:
            yield f"trained without the augmentation that others of {name} have: {', '.join(others)}"


def short(groups: Sequence[Group]) -> Iterator[str]:
    """Rows of backbones that hardly had the time to move: beside them a head alone looks better than it is."""
    short = {
        group.label: result.updates
        for group in groups
        for result in group.results
        if 0 < result.updates < FEW and not result.seconds["features"]
    }
    if short:
        rows = ", ".join(f"{label} {updates}" for label, updates in short.items())
        yield (
            f"few updates, which is no verdict on a method: {rows}; a smaller budget.batch_size or more budget.epochs "
            "makes more of the same rows"
        )


def _errors(groups: Sequence[Group]) -> Iterator[str]:
    """How far off values are: no share, so that it stands in no cell."""
    found = []
    for group in groups:
        off = [run.scores["mae"] for run in group.results if "mae" in run.scores]
        if off:
            found.append(f"{group.label} {_off(averaged(off))}")
    if found:
        yield f"mean absolute error, in the unit of the values (95 % interval over test rows alone): {', '.join(found)}"


def _off(found: Estimate) -> str:
    over = "" if found.low is None or found.high is None else f" ({found.low:.3g} to {found.high:.3g})"
    return f"{found.value:.3g}{over}"


def lost(groups: Sequence[Group]) -> Iterator[str]:
    """Runs without a score."""
    for group in groups:
        seeds = [str(result.recipe["seed"]) for result in group.results if result.status == "diverged"]
        if seeds:
            why = f"a loss or gradient was no number, or {PATIENCE} losses in a row above {TIMES} times their median"
            yield f"{group.label}: diverged with seed {', '.join(seeds)}: {why}"
        for result in group.results:
            if result.broken:
                yield f"{group.label}: failed with seed {result.recipe['seed']}: {'; '.join(result.broken)}"
        if group.failed and group.results:
            every = group.failed + len(group.results)
            yield f"{group.label}: {group.failed} of {every} seeds came to no result and are not in the row"


def intervals(groups: Sequence[Group]) -> Iterator[str]:
    """What the interval of each row is over, where there are several seeds, or draws of training rows."""
    kept = [System(name=each.label, runs=each.results) for each in groups if len(each.results) > 1]
    several = [each for each in kept if all(run.status == "done" for run in each.runs)]
    alone = list(dict.fromkeys(each.name for each in several if unfit(each)))
    sound = [each for each in several if not unfit(each)]
    over = dict.fromkeys(each.unit for each in sound)
    if over:
        but = f", but over test rows alone of {', '.join(alone)}" if alone else ""
        two = ", ".join(dict.fromkeys(each.name for each in sound if _two(each)))
        few = f"; too narrow where two of them agree by chance, as may those of {two}" if two else ""
        yield f"95 % interval: over test rows and {' or '.join(over)}{but}{few}"
    elif alone:
        yield "95 % interval: over test rows alone"


def _two(system: System) -> bool:
    """Whether there are but two of what its scores are independent by, and they differ."""
    scores_SN = right(system)
    return len(scores_SN) == 2 and bool((scores_SN[0] != scores_SN[1]).any())


def single(groups: Sequence[Group]) -> Iterator[str]:
    """Rows of one seed: the interval is over test rows, and says nothing of what another seed would give."""
    rows = [group for group in groups if group.results]
    alone = [group for group in rows if len(group.results) == 1]
    if alone and len(alone) == len(rows):
        yield "one seed: no spread, and no interval but over test rows"
    elif alone:
        labels = ", ".join(dict.fromkeys(group.label for group in alone))
        yield f"one seed, so no spread, and no interval but over test rows: {labels}"


def changed(results: Iterable[Result]) -> Iterator[str]:
    """Data sets that were not the same in all runs that name them: only runs on the same rows can be compared."""
    for sums in contents(results).values():
        if len(sums) > 1:
            names = ", ".join(dict.fromkeys(run.recipe["name"] for runs in sums.values() for run in runs))
            told = " and ".join(f"{sha256[:8]} in {len(runs)} runs" for sha256, runs in sums.items())
            yield f"{names}: the data has changed in between (sha256 {told}); only runs on the same are compared"
