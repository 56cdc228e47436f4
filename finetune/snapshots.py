"""Snapshots: where an interrupted training goes on from. Each is whole and verified, or it is not there.

A snapshot is a folder: tensors in safetensors files, and `snapshot.json` with everything else, the size and sha256 of
every file beside it, and a sum of its own. It is written under another name, flushed to the disk, and renamed last;
only then do older ones go. A reader checks all of a snapshot before it believes any of it, and goes back to the one
before where something is wrong.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from finetune.hashing import content_key, file_sha256
from finetune.outputs import flush, saving

FORMAT = 2  # counts up when what is stored changes
KEPT = 2  # the newest, and one to go back to
SHARD = 2**28  # bytes in a file of tensors, about: as much more memory does writing them take
FACTS = "snapshot.json"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One that was found whole."""

    folder: Path
    step: int
    facts: Mapping[str, Any]
    files: tuple[str, ...]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor with its name, a file at a time."""
        for name in self.files:
            yield from load_file(self.folder / name).items()


class Snapshots:
    """Those of one run.

    Args:
        folder: holds nothing else.
        base: names what they belong to: weights, rows, recipe. One of anything else is not taken.
    """

    def __init__(self, folder: Path, base: str) -> None:
        self.folder, self.base = folder, base

    def write(self, step: int, facts: Mapping[str, Any], tensors: Iterable[tuple[str, Tensor]]) -> None:
        """Raises OSError where the disk does not take it; then those of before are what they were."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        partial = self.folder / f".{step:09d}.{os.getpid()}"
        try:
            partial.mkdir()
            files = {path.name: _sum(path) for path in _written(partial, tensors)}
            body = {"format": FORMAT, "base": self.base, "step": step, "facts": facts, "files": files}
            _flushed(partial / FACTS, json.dumps({"sha256": _own_sum(body)} | body).encode())
            flush(partial)
            whole = self.folder / f"{step:09d}"
            shutil.rmtree(whole, ignore_errors=True)
            partial.replace(whole)
            flush(self.folder)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        for older in self._every()[:-KEPT]:
            shutil.rmtree(older, ignore_errors=True)

    def newest(self) -> tuple[Snapshot | None, list[str]]:
        """The newest that is whole; and of each newer one, what is wrong with it."""
        wrong = []
        for folder in reversed(self._every()):
            try:
                return self._read(folder), wrong
            except (OSError, ValueError, KeyError, TypeError) as error:
                wrong.append(f"{folder}: {error}")
        return None, wrong

    def _read(self, folder: Path) -> Snapshot:
        """
        Raises:
            ValueError: something is not what it was when it was written, or belongs to another run.
        """
        body = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if body.pop("sha256") != _own_sum(body):
            raise ValueError(f"{FACTS} is not what was written")
        if body["format"] != FORMAT:
            raise ValueError(f"its format is {body['format']}, this version reads {FORMAT}")
        if body["base"] != self.base:
            raise ValueError("it belongs to other weights, rows or settings")
        for name, known in body["files"].items():
            found = _sum(folder / name)
            if found != known:
                raise ValueError(f"{name} is not what was written ({found['bytes']} of {known['bytes']} bytes)")
        return Snapshot(folder=folder, step=body["step"], facts=body["facts"], files=tuple(body["files"]))

    def _every(self) -> list[Path]:
        """Those under their final names, oldest first."""
        return sorted(path for path in self.folder.glob("*") if path.name.isdecimal())

    def _sweep(self) -> None:
        """Remove what a writer left that was killed."""
        for path in self.folder.glob(".*"):
            shutil.rmtree(path, ignore_errors=True)


def _written(folder: Path, tensors: Iterable[tuple[str, Tensor]]) -> Iterator[Path]:
    """Write tensors to files of about `SHARD` bytes; each file is on the disk when its path is given."""
    shard: dict[str, Tensor] = {}
    number = 0

    def write() -> Path:
        path = folder / f"{number:03d}.safetensors"
        with saving():
            save_file(shard, path)
        shard.clear()
        flush(path)
        return path

    for name, tensor in tensors:
        shard[name] = tensor.detach().cpu().contiguous()
        if sum(each.nbytes for each in shard.values()) >= SHARD:
            yield write()
            number += 1
    yield write()


def _sum(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _own_sum(body: Mapping[str, Any]) -> str:
    return content_key(json.dumps(body, sort_keys=True))


def _flushed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    flush(path)
