"""Equal chances: each method tries as many settings of its own, validation rows choose, test rows are seen once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from finetune.choice import winner
from finetune.engines import Engine, Failure
from finetune.engines.here import Here
from finetune.errors import InputError
from finetune.hashing import content_key
from finetune.outputs import finished_runs, read_lines, writing
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.report.groups import settings_of
from finetune.result import Result

OPENINGS = "test_sets.jsonl"  # in the folder of all runs: which comparison looked at which test rows, and when


@dataclass(frozen=True)
class Tuning:
    """Recipes as their trials left them, and the trials."""

    recipes: tuple[Recipe, ...]
    trials: tuple[Result, ...]  # and those that show what one learning rate for all would do
    failures: tuple[Failure, ...]  # recipes none of whose trials came to a score
    chosen: datetime  # when the last trial that chooses was made, in local time


def trials(recipe: Recipe, count: int) -> list[Recipe]:
    """The recipe with each of its method's candidates and a closed test set; none where there is nothing to choose."""
    candidates = list(recipe.method.candidates(count))
    if candidates == [recipe.method]:
        return []
    closed = replace(recipe.split, test_rows=0)
    return [replace(recipe, method=each, split=closed) for each in candidates]


def tune(
    recipes: Sequence[Recipe],
    count: int,
    *,
    out: str | Path = "outputs",
    progress: Silent | None = None,
    engine: Engine | None = None,
) -> Tuning:
    """Each recipe with the candidate of its method that did best on the validation rows.

    Then each method with learning rates is trained at the best one of every other too: what a comparison at one rate
    for all would have said. Nothing is chosen by those trials, as not every method has as many of them.

    Raises:
        InputError: fewer than two trials.
    """
    if count < 2:
        raise InputError(f"trials must be at least 2, got {count}: of one there is nothing to choose")
    asked = {recipe: trials(recipe, count) for recipe in recipes}
    runs = {
        each: f"{recipe.label}, trial {place} of {len(tries)}"
        for recipe, tries in asked.items()
        for place, each in enumerate(tries, 1)
    }
    engine, out, progress = engine or Here(), Path(out), progress or Silent()
    outcomes = engine.run(runs, out, progress, {})
    made = [each.before for each in outcomes.values() if isinstance(each, Result) and each.before is not None]
    last = max(made) if made and len(made) == len(outcomes) else datetime.now()
    chosen, results, failures = list[Recipe](), list[Result](), list[Failure]()
    rates = dict[Recipe, float]()
    for recipe, tries in asked.items():
        found = [outcomes[each] for each in tries]
        done = [each for each in found if isinstance(each, Result)]
        best = winner(done)
        results += done
        if not tries:
            chosen.append(recipe)
        elif best is None:
            failures.append(Failure(recipe, _why(found)))
        else:
            method = tries[found.index(best)].method
            chosen.append(replace(recipe, method=method.settled(best.choice or {})))
            if len(tries) > 1:  # settings of a method that are several are learning rates
                rates[recipe] = method.optim.learning_rate
    if there := _shared(rates, asked):
        for recipe, each in engine.run(there, out, progress, {}).items():
            if isinstance(each, Result):
                results.append(replace(each, shared=True))
            else:
                progress.say(f"{there[recipe]}: {each.reason}")
    return Tuning(tuple(chosen), tuple(results), tuple(failures), last)


def _shared(rates: Mapping[Recipe, float], asked: Mapping[Recipe, Sequence[Recipe]]) -> dict[Recipe, str]:
    """Trials of each method at the best rates of others of its recipe, where it was not tried there already."""
    found = dict[Recipe, str]()
    for (recipe, _), (other, rate) in itertools.permutations(rates.items(), 2):
        there = replace(asked[recipe][0], method=asked[recipe][0].method.at_rate(rate))
        if replace(other, method=recipe.method) == recipe and there not in asked[recipe]:
            found[there] = f"{recipe.label}, at {rate:g}, the best of {other.label}"
    return found


def _why(found: Iterable[Result | Failure]) -> str:
    reasons = [each.reason if isinstance(each, Failure) else f"trial {each.status}" for each in found]
    return "; ".join(dict.fromkeys(reasons))


def opened(results: Sequence[Result], chosen: datetime, out: str | Path) -> tuple[Result, ...]:
    """The results of what was chosen, with when their test rows were looked at, and when before by anything else.

    A comparison is the recipes it compares, whatever their seeds; made again it looks at nothing new. Before it looked
    other comparisons, and every run that was scored on these rows and lies below `out`: of another recipe, or of one of
    these before the last trial.

    Args:
        chosen: when the last trial was made, in local time.

    Raises:
        InputError: the folder cannot be written.
    """
    own, path = {_but_for_seed(each.recipe) for each in results}, Path(out) / OPENINGS
    key, known = content_key(*sorted(own)), read_lines(path) if path.is_file() else []
    opened_before = {each["rows"] for each in known if each["comparison"] == key}
    sets = dict.fromkeys(each.test_set for each in results if each.test_set is not None)
    scored = _scored(Path(out)) if set(sets) - opened_before else {}
    times: dict[str, Mapping[str, Any]] = {}
    for rows in sets:
        of_rows = [each for each in known if each["rows"] == rows]
        if rows not in opened_before:
            told = set[str]().union(*(each.get("recipes", ()) for each in of_rows))
            looks = {
                recipe: _said(time)
                for recipe, time in sorted(scored.get(rows, ()), key=lambda look: look[1], reverse=True)
                if recipe not in told and (recipe not in own or time <= chosen)
            }  # of several seeds the first
            before, time = sorted([*(each["time"] for each in of_rows), *looks.values()]), _said(datetime.now())
            line = {"rows": rows, "comparison": key, "time": time, "before": before, "recipes": sorted(own)}
            of_rows.append(line)
            _append(path, line)
        place = next(place for place, each in enumerate(of_rows) if each["comparison"] == key)
        before = of_rows[place].get("before", [each["time"] for each in of_rows[:place]])
        times[rows] = {"time": of_rows[place]["time"], "comparison": key, "before": before}
    return tuple(replace(each, opened=times[each.test_set] if each.test_set else None) for each in results)


def _append(path: Path, line: Mapping[str, Any]) -> None:
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _scored(out: Path) -> dict[str, list[tuple[str, datetime]]]:
    """Which recipes were scored on which test rows by runs below the folder, and when; old records are passed over."""
    found: dict[str, list[tuple[str, datetime]]] = {}
    for time, record in finished_runs(out):
        with suppress(InputError):
            result = Result.from_json(record)
            if result.test_set is not None:
                found.setdefault(result.test_set, []).append((_but_for_seed(result.recipe), time))
    return found


def _said(time: datetime) -> str:
    return time.astimezone().isoformat(timespec="seconds")


def _but_for_seed(recipe: Mapping[str, Any]) -> str:
    return content_key(json.dumps(settings_of(recipe), sort_keys=True))
