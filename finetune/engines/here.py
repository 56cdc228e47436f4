"""This process, a run after the other; they share what they read, and nothing is read or encoded twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from finetune.engines import Engine, Outcome, failed
from finetune.execute import run
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.result import Result
from finetune.session import Shelf, session


@dataclass(frozen=True, kw_only=True)
class Here(Engine):
    """Where nothing else is said. Of several processes that a launcher has started, all take part in every run."""

    def run(
        self, runs: Mapping[Recipe, str], out: Path, progress: Silent, known: Mapping[str, Result]
    ) -> dict[Recipe, Outcome]:
        shelf, found = Shelf(), dict[Recipe, Outcome]()
        for number, (recipe, name) in enumerate(runs.items(), 1):
            progress.run(number, len(runs), name)
            found[recipe] = _attempt(recipe, out, progress, shelf, known)
        return found


def _attempt(recipe: Recipe, out: Path, progress: Silent, shelf: Shelf, known: Mapping[str, Result]) -> Outcome:
    try:
        if known and (found := known.get(session(recipe, progress=progress, shelf=shelf).fingerprint)):
            return found
        return run(recipe, out=out, progress=progress, shelf=shelf)
    except Exception as error:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise  # the other processes may not have failed; going on without them would wait for ever
        return failed(recipe, error)
