"""Downloading a wheel with pip: what is told meanwhile, and what is told of it where it cannot be."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from told import Told
from wheels import served, ship

from finetune.errors import InputError
from finetune.progress import Silent
from finetune.wheel import download


class Watched(Told):
    """Remembers how much was counted at each moment."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[int] = []

    def advance(self, units: int) -> None:
        super().advance(units)
        self.moments.append(self.counted["download"][0])


@pytest.mark.parametrize("keeps", [True, False], ids=["pip keeps a cache", "pip keeps none"])
def test_a_download_is_counted_while_it_goes_on_and_each_byte_once(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    wheel = replace(ship(index, noise=os.urandom(1_500_000)).wheel, megabytes=2)
    size = next(index.iterdir()).stat().st_size
    watched = Watched()
    with served(index) as (url, _):
        monkeypatch.setenv("PIP_FIND_LINKS", url)
        if keeps:  # which pip does for hosts it trusts only
            monkeypatch.delenv("PIP_NO_CACHE_DIR")
            monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip-cache"))
            monkeypatch.setenv("PIP_TRUSTED_HOST", "127.0.0.1")
        download(wheel, tmp_path, watched)
    assert watched.counted["download"][1] == 2_000_000
    assert len({moment for moment in watched.moments if 0 < moment < size}) >= 3
    assert size / 2 < watched.moments[-1] <= size


def test_an_index_that_refuses_is_given_up_within_seconds(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: nobody listens
    started = time.monotonic()
    with pytest.raises(InputError, match=r"cannot download tiny==1.0"):
        download(ship(index).wheel, tmp_path, Silent())
    assert time.monotonic() - started < 15


def test_a_pip_in_the_working_folder_is_not_run(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (index.parent / "pip.py").write_text("raise SystemExit('not pip')")
    monkeypatch.chdir(index.parent)
    assert download(ship(index).wheel, tmp_path, Silent()).is_file()
