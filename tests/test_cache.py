"""Where the cache is, and what can be forgotten."""

from __future__ import annotations

from contextlib import suppress
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


def test_what_is_kept_appears_as_a_whole_or_not_at_all(own_cache: Path) -> None:
    folder = own_cache / "features" / "key"
    with suppress(KeyError), cache.keeping(folder) as scratch:
        (scratch / "half").write_text("")
        raise KeyError
    assert list(folder.parent.iterdir()) == []
    with cache.keeping(folder) as scratch:
        (scratch / "whole").write_text("")
        assert not folder.exists()
    assert [path.name for path in folder.iterdir()] == ["whole"]
    assert list(folder.parent.iterdir()) == [folder]


def test_who_comes_second_leaves_what_the_first_has_made(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own_cache / "features" / "key"
    with cache.keeping(folder) as scratch:
        (scratch / "first").write_text("")
    monkeypatch.setattr(cache.shutil, "rmtree", lambda *_, **__: None)  # it came between looking and putting
    with cache.keeping(folder) as scratch:
        (scratch / "second").write_text("")
    assert [path.name for path in folder.iterdir()] == ["first"]
