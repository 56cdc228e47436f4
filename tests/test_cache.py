"""Where the cache is, and what can be forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune import cache
from finetune.errors import InputError


def test_the_cache_is_the_variables_folder_before_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("FINETUNE_CACHE", "~/mine")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache.cache_dir() == Path("/home/someone/mine")
    monkeypatch.delenv("FINETUNE_CACHE")
    assert cache.cache_dir() == Path("/var/cache/finetune")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_dir() == Path("/home/someone/.cache/finetune")


def test_only_features_are_forgotten_and_forgetting_them_again_is_no_error(own_cache: Path) -> None:
    for name in ("features", "tables"):
        (own_cache / name).mkdir(parents=True)
        (own_cache / name / "file").write_text("")
    for _ in range(2):
        cache.remove("features")
        assert [path.name for path in own_cache.iterdir()] == ["tables"]


def test_a_cache_that_cannot_be_written_is_told_with_its_variable(own_cache: Path) -> None:
    own_cache.write_text("")  # a file where the folder should be
    with pytest.raises(InputError, match=r"cannot write the cache .*; set FINETUNE_CACHE to a folder with room"):
        cache.remove("features")
