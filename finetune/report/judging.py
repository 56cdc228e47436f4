"""What stands under a table of which rows are better: than each other, than what is to be beaten, than chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finetune.report.groups import AGAIN, Group, comparable, singles, systems
from finetune.system import System, right, unfit
from finetune.verdict import judge, of_one_seed

FEW_ROWS = 4  # of a table, on the same test rows


def verdicts(groups: Sequence[Group]) -> Iterator[str]:
    """Which of few rows is better; of many, the pairs are too many to stand here, and but those of a recipe do."""
    every = systems([group for group in groups if not group.control])
    together = comparable(every)
    for system in every:  # those of one seed, or without a score, are told of already
        if len(system.runs) > 1 and all(run.status == "done" for run in system.runs) and (why := unfit(system)):
            yield f"no verdict on {system.name}: {why}"
    for same_rows in together:
        few = (
            [same_rows]
            if len(same_rows) <= FEW_ROWS
            else [own for own in _by_recipe(same_rows) if len(own) <= FEW_ROWS]
        )
        for own in few:  # what is said of a recipe here is what is said of it among others
            yield from (verdict.sentence for verdict in judge(own))
        if len(same_rows) > FEW_ROWS:
            here = "only those of one recipe are judged here, and all" if any(len(own) > 1 for own in few) else "judged"
            yield f"more than {FEW_ROWS} rows on the same test rows: {here} in a saved table by `finetune verdict NAME`"
    yield from of_one_seed(list(singles(every)))


def _by_recipe(systems: Sequence[System]) -> list[list[System]]:
    found: dict[str, list[System]] = {}
    for system in systems:
        found.setdefault(system.runs[0].recipe["name"], []).append(system)
    return list(found.values())


def controls(groups: Sequence[Group]) -> Iterator[str]:
    """Rows that a control is better than or not shown to be worse than, by a verdict on the two alone; what leaks."""
    kept = [group for group in groups if group.results]
    of = {system.name: group for system, group in zip(systems(kept), kept, strict=True)}
    for same_rows in comparable(systems(kept)):
        to_beat = [system for system in same_rows if of[system.name].control]
        for row in (system for system in same_rows if system not in to_beat):
            beside = [each for each in to_beat if _rows(each) <= _rows(row) and not _beats(row, each)]
            above = [each.name for each in beside if _beats(each, row)]
            if above:
                yield f"a control is better than {row.name}: {', '.join(above)}"
            equals = [each.name for each in beside if each.name not in above]
            if equals:
                yield f"{row.name} is not shown to be better than a control: {', '.join(equals)}"
        floor = _floor([system for system in to_beat if of[system.name].settings["method"] == "Majority"])
        for control in to_beat:
            if of[control.name].settings["data"] == "Shuffled" and floor is not None and _beats(control, floor):
                yield f"{control.name} is better than the majority's label: something gives its test rows away"


def _floor(majorities: Sequence[System]) -> System | None:
    """What no reading of the input is needed for: the best answer that is the same for all.

    With as many rows of each label there is no majority, and the label that was taken may be a rare one of the test.
    """
    drawn = [each for each in majorities if each.runs[0].recipe["split"].get("per_class") is None]
    return max(drawn, key=lambda each: float(right(each).mean()), default=None)


def _rows(system: System) -> int:
    """How many it learned from: what had more of them is no control."""
    return system.runs[0].rows["train"]


def alike(groups: Sequence[Group]) -> Iterator[str]:
    """Whether what was made twice came out alike, and how far apart another seed is: the floor of all differences."""
    for group in (each for each in groups if each.name.endswith(AGAIN) and each.results):
        again = group.results[0]
        kin = [each for each in groups if each.settings == {**group.settings, "name": group.name.removesuffix(AGAIN)}]
        runs = [run for each in kin for run in each.results if run.items is not None]
        first = next((run for run in runs if run.recipe["seed"] == again.recipe["seed"]), None)
        if first is None or first.items is None or again.items is None:
            continue
        apart, n = int((first.items.unpacked() != again.items.unpacked()).sum()), again.items.n
        exact = "identical" if first.validation_loss == again.validation_loss else "as right, not identical,"
        what = f"{apart} of {n} test rows come out otherwise" if apart else f"{exact} on all {n} test rows"
        scores = [run.scores[run.headline].value for run in runs]
        far = f"; its seeds are up to {100 * (max(scores) - min(scores)):.2f} points apart" if len(runs) > 1 else ""
        yield f"{kin[0].label} made twice with seed {again.recipe['seed']}: {what}{far}"


def _beats(one: System, other: System) -> bool:
    (found,) = judge([one, other])
    return found.kind == "better" and found.ours == one.name
