"""What tests share: no network but loopback, a cache of their own where they fill it, and tiny checkpoints."""

from __future__ import annotations

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from finetune import Budget, Full, Local, Recipe, Summarisation, TokenClassification, Translation
from finetune.data.toy import ToyPairs, ToyTags


def pytest_collection_finish() -> None:
    """What is imported stays: runs look for garbage before they are measured, and need not look through all of that."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint of a family, written once."""
    root = tmp_path_factory.mktemp("checkpoints")

    def folder(family: str) -> Path:
        return root / family if (root / family).exists() else tiny.write(family, root / family)

    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache instead of the user's."""
    monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def toy(checkpoint: Callable[[str], Path], own_cache: Path) -> Callable[[str], Recipe]:
    """The recipe for a tiny checkpoint of a family, with a cache of the test's own."""
    assert not own_cache.exists()
    return lambda family: tiny.recipe(family, checkpoint(family))


@pytest.fixture(scope="module")
def shared(checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiny.Shared]:
    """The same with a cache and a folder of runs that the tests of a file share: a run is made by the first of them."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINETUNE_CACHE", str(folder / "cache"))
        yield tiny.Shared(out=folder / "out", toy=lambda family: tiny.recipe(family, checkpoint(family)))


@pytest.fixture(scope="session")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint that writes text, made once."""
    root = tmp_path_factory.mktemp("writers")

    def folder(family: str) -> Path:
        return root / family if (root / family).exists() else tiny.write_writer(family, root / family)

    return folder


@pytest.fixture
def toy_pairs(writer: Callable[[str], Path], own_cache: Path) -> Callable[[str], Recipe]:
    """The same of a checkpoint that writes text."""
    assert not own_cache.exists()

    def recipe(family: str) -> Recipe:
        return Recipe(
            name=f"toy_{family}",
            checkpoint=Local(str(writer(family))),
            data=ToyPairs(),
            task=Translation(max_target=8) if family in tiny.ENCODER_DECODERS else Summarisation(max_target=8),
            method=Full(),
            budget=Budget(epochs=2, batch_size=16),
            precision="float32",
        )

    return recipe


@pytest.fixture
def toy_tags(toy: Callable[[str], Recipe]) -> Callable[[str], Recipe]:
    """The recipe for a tiny checkpoint of a family whose words are tagged."""
    return lambda family: replace(toy(family), data=ToyTags(), task=TokenClassification())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty index in a folder, asked by pip instead of the configured one; and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path / "cache"))
    return folder


LONG = ("test_processes", "test_readme", "test_resume", "test_sharded", "test_engines", "test_certify", "test_cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take minutes come first: one that comes last keeps a worker busy while the others are done."""
    last = len(LONG)
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else last)
