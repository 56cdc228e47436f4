"""Runs that end in the middle, and what they have left."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from finetune import Recipe, run
from finetune.session import session
from finetune.snapshots import Snapshots

VOLATILE = {"seconds", "examples_per_second", "tokens_per_second", "peak_memory_bytes", "environment"}


class Killed(BaseException):
    """As if the process had ended there."""


def folder(recipe: Recipe, out: Path) -> Path:
    return session(recipe).folder(out).path


def left(recipe: Recipe, out: Path) -> dict[str, Any]:
    """All that a run has left but for what the clock and the machine have a part in."""
    path = folder(recipe, out)
    files = {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}
    result = json.loads(files.pop("result.json"))
    del files["status.json"]
    return {**files, "result": {name: value for name, value in result.items() if name not in VOLATILE}}


def killed_after(step: int, patch: pytest.MonkeyPatch) -> None:
    """End the process, as it were, once the snapshot of an update is there."""
    write = Snapshots.write

    def writes(self: Snapshots, at: int, *rest: Any) -> None:
        write(self, at, *rest)
        if at == step:
            raise Killed

    patch.setattr(Snapshots, "write", writes)


def left_when_killed_after(
    steps: Iterable[int], recipe: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run has left that is killed after each of these updates, and goes on; and what one that is not."""
    run(recipe, out=out / "whole")
    for step in steps:
        with monkeypatch.context() as patch:
            killed_after(step, patch)
            with pytest.raises(Killed):
                run(recipe, out=out / "killed")
    run(recipe, out=out / "killed")
    return left(recipe, out / "killed"), left(recipe, out / "whole")
