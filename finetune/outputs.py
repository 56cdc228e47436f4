"""Everything that touches disk: a run's folder, its parts, and the result written last.

A file is whole or not there: it is written beside its place and renamed. `result.json` is the last of a run, so where
it exists the run is done and everything else is complete.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from finetune.errors import InputError

SNAPSHOTS, CURVE, STATUS, LOCK = "snapshots", "curve.jsonl", "status.json", "lock"
KEPT = (CURVE, LOCK, STATUS)  # files that the next run of the folder needs, or has written already
FULL = (errno.ENOSPC, errno.EDQUOT)  # what the system says of a disk, or of somebody's share of it


class HeldError(InputError):
    """Another process is at work in the folder."""


class RunFolder:
    """`<root>/<recipe>/<method>-seed<seed>-<fingerprint>/`."""

    def __init__(self, root: str | Path, recipe: str, label: str) -> None:
        self.path = Path(root) / recipe / label

    def result(self) -> dict[str, Any] | None:
        """The result of a finished run; None where there is none."""
        return read_json(self.path / "result.json")

    def finished(self) -> datetime | None:
        """When the run was done, in local time; None where it is not."""
        try:
            return datetime.fromtimestamp((self.path / "result.json").stat().st_mtime)
        except OSError:
            return None

    def begin(self) -> None:
        """A folder with nothing of an interrupted run in it but what the next one goes on from.

        Raises:
            InputError: it cannot be written.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for path in self.path.iterdir():
                if path.is_dir() and path.name != SNAPSHOTS:
                    shutil.rmtree(path)
                elif path.is_file() and path.name not in KEPT:
                    path.unlink()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held while the run is computed; the system lets go of it however the process ends.

        Raises:
            HeldError: another process has it.
        """
        path = self.path / LOCK
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            held = FileLock(path, blocking=False)
            try:
                held.acquire()
            except Timeout:
                raise HeldError(f"{self._holder()} is computing {self.path}; wait for it, or stop it") from None
        try:
            yield
        finally:
            if self.finished():  # else whoever comes next may hold the same file already
                path.unlink(missing_ok=True)
            held.release()

    def _holder(self) -> str:
        status = read_json(self.path / STATUS) or {}
        return f"process {status['process']} on {status['host']}" if "process" in status else "another process"

    def status(self, state: str, **more: Any) -> None:
        """Say what became of the run, whatever a launcher makes of its exit code."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.write(STATUS, {"state": state, "at": now, "process": os.getpid(), "host": platform.node()} | more)

    def lost(self, why: str) -> None:
        """Say that a process of the run is gone, unless one has said already what became of it."""
        if (read_json(self.path / STATUS) or {}).get("state") == "running":
            self.status("lost", why=why)

    def settle(self, ended: str) -> None:
        """Once there is a result, bring all beside it in line with that: of one that diverged snapshots stay.

        Whatever ended a run just before this is thereby mended when the same command is given again. The result is
        there, so nothing that goes wrong here does any harm: another process may be about to do the same.
        """
        with suppress(InputError):
            if (read_json(self.path / STATUS) or {}).get("state", ended) != ended:
                with self.lock():
                    if ended != "diverged":
                        shutil.rmtree(self.path / SNAPSHOTS, ignore_errors=True)
                    self.status(ended)

    def cut(self, name: str, lines: int) -> None:
        """Keep the first lines of a file; what an interrupted run wrote after them comes again."""
        path = self.path / name
        with writing(self.path):
            if path.is_file():
                kept = path.read_text(encoding="utf-8").splitlines(keepends=True)[:lines]
                write_text(path, "".join(kept))

    def write(self, name: str, value: Any) -> None:
        with writing(self.path):
            write_text(self.path / name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def append(self, name: str, value: Mapping[str, Any]) -> None:
        with writing(self.path), (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")

    def write_lines(self, name: str, values: Iterable[Mapping[str, Any]]) -> None:
        with writing(self.path):
            write_text(self.path / name, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def finished_runs(root: Path) -> Iterator[tuple[datetime, Mapping[str, Any]]]:
    """When each run below a folder was done, in local time, and its result; what is damaged is passed over."""
    for path in sorted(root.glob("*/*/result.json")):
        with suppress(InputError, OSError):
            result = read_json(path)
            if isinstance(result, Mapping):
                yield datetime.fromtimestamp(path.stat().st_mtime), result


def read_json(path: Path, mend: str = "delete it and the run is made again") -> Any:
    """What a JSON file holds; None where there is no file.

    Args:
        mend: what to do about one that is damaged.

    Raises:
        InputError: it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); {mend}") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole, durably."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as a whole, durably."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Until the disk has a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_all(folder: Path) -> None:
    """Until the disk has everything below a folder, by whomever it was written."""
    for path in (*folder.rglob("*"), folder):
        flush(path)


@contextmanager
def saving() -> Iterator[None]:
    """Gives the system's complaint its kind back, of which the writer of tensors keeps the words alone."""
    try:
        yield
    except SafetensorError as error:
        said = re.search(r"\(os error (\d+)\)", str(error))
        if said is None:
            raise OSError(str(error)) from error
        raise OSError(number := int(said[1]), os.strerror(number)) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the system's complaint about a folder that cannot be written into one line."""
    try:
        with saving():
            yield
    except OSError as error:
        mend = "free some, and the same command goes on" if error.errno in FULL else "choose another --out"
        why = error.strerror or error
        raise InputError(f"cannot write {error.filename or path}: {why}; {mend}") from error
