"""A run on another machine: what it is goes there as text, and what came of it is read from a folder that both see.

A recipe travels as the JSON that its run's folder holds, and no code with it; the answer says where that folder is, or
why there is none. Whatever goes wrong there comes back as a reason, because the other runs of the grid go on.
"""

from __future__ import annotations

import json
import os
import platform
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from finetune.errors import InputError
from finetune.execute import run
from finetune.outputs import HeldError, read_json
from finetune.progress import Bars, Silent
from finetune.recipe import Recipe
from finetune.result import Result

WAIT = 2.0  # seconds between two looks whether another process is still at the run
SHOWN = 60.0  # seconds until a shared folder shows what another machine has written: NFS remembers what it saw so long


def order(recipe: Recipe, out: Path) -> str:
    """What another machine is to run, in which folder, and where the recipe's relative paths begin.

    Raises:
        InputError: a part of the recipe is of a class that finetune does not have.
    """
    told = recipe.to_json()
    try:
        foreign = "" if Recipe.from_json(told) == recipe else "a class of yours is called as one of finetune's"
    except (InputError, TypeError) as error:
        foreign = str(error)
    if foreign:
        raise InputError(
            f"{recipe.label} has a part of a class of your own, and another machine is told of parts by name only "
            f"({foreign}); put the class into a file of the finetune package, or leave --on out"
        )
    return json.dumps({"recipe": told, "out": str(out.absolute()), "at": str(Path.cwd())})


def work(text: str) -> str:
    """Do what an order says, and answer. Where another process is at the same run, this one waits for it."""
    asked, progress = json.loads(text), Bars()
    try:
        result = _computed(asked, progress)
    except Exception as error:  # whatever it is: who has asked goes on with the other runs, and lists it
        traceback.print_exc()
        return lost(reason(error))
    before = None if result.before is None else result.before.isoformat()
    return json.dumps({"folder": str(result.folder), "before": before, "host": platform.node()})


def lost(reason: str) -> str:
    """The answer of a run that came to nothing."""
    return json.dumps({"failed": reason})


def received(text: str) -> Result:
    """The result that an answer speaks of.

    Raises:
        InputError: there is none, for the reason that the answer gives; or this machine does not see it.
    """
    answer = json.loads(text)
    if "failed" in answer:
        raise InputError(answer["failed"])
    folder, before = Path(answer["folder"]), answer["before"]
    result = Result.from_json(_seen(folder, answer["host"]))
    return replace(result, folder=folder, before=None if before is None else datetime.fromisoformat(before))


def _computed(asked: Mapping[str, Any], progress: Silent) -> Result:
    try:
        os.chdir(asked["at"])
    except OSError as error:
        here = f"{platform.node()} cannot enter {asked['at']} ({error.strerror})"
        raise InputError(f"{here}: all machines must share the folder in which finetune is called") from error
    recipe, waits = Recipe.from_json(asked["recipe"]), False
    while True:
        try:
            return run(recipe, out=asked["out"], progress=progress)
        except HeldError as held:  # such as what a driver that was killed has left at work
            if not waits:
                progress.say(f"waits, because {held}")
            waits = True
            time.sleep(WAIT)


def reason(error: Exception) -> str:
    """One line. What the user can mend says so itself; of anything else its kind is half of what there is to know."""
    said = " ".join(str(error).split())[:500]
    if isinstance(error, InputError | torch.OutOfMemoryError):
        return said
    return f"{type(error).__name__}: {said}".removesuffix(": ")


def _seen(folder: Path, host: str) -> Any:
    """The record in a run's folder, as soon as this machine sees it.

    Raises:
        InputError: it never does.
    """
    last = time.monotonic() + SHOWN
    while (record := read_json(folder / "result.json")) is None:
        if time.monotonic() > last:
            raise InputError(
                f"{host} has written {folder}, and this machine does not see it: --out must be a folder that all share"
            )
        time.sleep(0.5)
    return record
