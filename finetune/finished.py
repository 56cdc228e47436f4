"""A finished run, opened again: its model where one is needed, and what is measured of it, kept beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from finetune.data import Data
from finetune.errors import InputError
from finetune.launch import open_accelerator
from finetune.outputs import read_json, write_text, writing
from finetune.predict import Predictor, load
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.result import Result
from finetune.session import Session, Shelf, session
from finetune.shift import Elsewhere, Reference
from finetune.splits import Split

Kept = TypeVar("Kept", Elsewhere, Reference)  # what is measured of a run
MEND = "delete it and it is measured again"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run that came to a score, in its folder."""

    recipe: Recipe
    result: Result
    folder: Path
    progress: Silent = field(default_factory=Silent)
    shelf: Shelf = field(default_factory=Shelf)

    @cached_property
    def predictor(self) -> Predictor:
        """Its model, loaded when it is first asked for."""
        # it may have been made for a recipe that comes to the same, and that is what the folder then knows
        same = self.recipe.to_json() == (read_json(self.folder / "result.json") or {}).get("recipe")
        return load(self.folder, recipe=self.recipe if same else None, progress=self.progress)

    def session(self, data: Data, split: Split | None = None) -> Session:
        """The run's recipe on other rows."""
        recipe = replace(self.recipe, data=data, split=split or self.recipe.split)
        return session(recipe, progress=self.progress, shelf=self.shelf)

    def kept(self, kind: type[Kept], key: str, measure: Callable[[], Kept]) -> Kept:
        """A measurement of this run: as it was written, else made now and written.

        Args:
            kind: of the measurement; the file is called after it.
            key: of everything that it depends on beside the run.

        Raises:
            InputError: what was written is damaged, or nothing can be written.
        """
        path = self.folder / f"{kind.__name__.lower()}-{key[:8]}.json"
        found = read_json(path, MEND)
        if found is not None:
            try:
                return kind.from_json(found)
            except (KeyError, TypeError, AttributeError, InputError) as error:
                raise InputError(f"{path} is damaged, or of another version of finetune ({error!r}); {MEND}") from error
        made = measure()
        if open_accelerator().is_main_process:
            with writing(self.folder):
                write_text(path, json.dumps(asdict(made), indent=2, ensure_ascii=False) + "\n")
        return made
