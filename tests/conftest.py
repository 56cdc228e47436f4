"""What tests share: no network but loopback, a cache of their own where they fill it, and tiny checkpoints."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

from finetune import Budget, Classification, Full, Local, Recipe, Summarisation, Translation
from finetune.data.toy import ToyImages, ToyPairs, ToyText


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
    """A recipe for a tiny checkpoint of a family that runs in a second, with a cache of the test's own."""
    assert not own_cache.exists()

    def recipe(family: str) -> Recipe:
        return Recipe(
            name=f"toy_{family}",
            checkpoint=Local(str(checkpoint(family))),
            data=ToyImages() if family in tiny.IMAGE_FAMILIES else ToyText(),
            task=Classification(),
            method=Full(),
            budget=Budget(epochs=2, batch_size=16),
            precision="float32",
        )

    return recipe


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
