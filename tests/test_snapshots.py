"""Snapshots on disk: whole and verified, or not taken; and what goes wrong while one is written costs no other."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from finetune import snapshots, state
from finetune.snapshots import Snapshots
from finetune.state import Count
from finetune.watch import Watch

TENSORS = {"one": torch.arange(6.0).view(2, 3), "two": torch.tensor([1, 2]), "three": torch.tensor(0.5)}


@pytest.fixture
def kept(tmp_path: Path) -> Snapshots:
    found = Snapshots(tmp_path / "snapshots", "a run")
    for step in (1, 2):
        found.write(step, {"step": step}, TENSORS.items())
    return found


def steps(kept: Snapshots) -> list[str]:
    return sorted(path.name for path in kept.folder.iterdir())


def test_what_a_snapshot_of_training_holds_changes_with_its_format_alone() -> None:
    # whoever changes this counts FORMAT up: an older snapshot is then not taken, instead of breaking the run
    assert snapshots.FORMAT == 2
    assert [each.name for each in fields(Count)] == [
        *("step", "examples", "tokens", "seconds", "micro_batch", "best", "best_epoch")
    ]
    assert [each.name for each in fields(Watch)] == ["calm", "high"]
    assert (state.UNREAD, state.BUFFER, state.KEPT, state.RANDOM) == ("unread/", "buffer/", "kept/", "random/")


def test_the_newest_comes_back_with_everything_that_was_put_in(kept: Snapshots) -> None:
    newest, wrong = kept.newest()
    assert newest is not None
    assert (newest.step, newest.facts, wrong) == (2, {"step": 2}, [])
    found = dict(newest.tensors())
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)
    assert all(found[name].dtype == TENSORS[name].dtype for name in TENSORS)


def test_there_are_never_more_than_two(kept: Snapshots) -> None:
    for step in (3, 4):
        kept.write(step, {}, TENSORS.items())
    assert steps(kept) == ["000000003", "000000004"]


def test_tensors_that_are_large_together_go_to_several_files(kept: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "SHARD", 20)
    kept.write(3, {}, TENSORS.items())
    newest, _ = kept.newest()
    assert newest is not None
    assert len(newest.files) == 3
    assert dict(newest.tensors()).keys() == TENSORS.keys()


def test_every_flipped_bit_is_found_and_the_one_before_is_taken(kept: Snapshots) -> None:
    folder = kept.folder / "000000002"
    for name in ("000.safetensors", "snapshot.json"):
        content = (folder / name).read_bytes()
        for place in range(len(content)):
            flipped = bytearray(content)
            flipped[place] ^= 1 << place % 8
            (folder / name).write_bytes(flipped)
            newest, wrong = kept.newest()
            assert newest is not None
            assert newest.step == 1, f"byte {place} of {name}"
            assert len(wrong) == 1
        (folder / name).write_bytes(content)
    newest, _ = kept.newest()
    assert newest is not None
    assert newest.step == 2


def test_a_file_cut_short_or_lost_is_named(kept: Snapshots) -> None:
    path = kept.folder / "000000002" / "000.safetensors"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-7])
    assert kept.newest()[1] == [f"{path.parent}: 000.safetensors is not what was written ({size - 7} of {size} bytes)"]
    path.unlink()
    assert "No such file" in kept.newest()[1][0]


def test_one_of_another_run_is_not_taken(kept: Snapshots) -> None:
    newest, wrong = Snapshots(kept.folder, "another run").newest()
    assert newest is None
    assert all("belongs to other weights, rows or settings" in reason for reason in wrong)
    assert len(wrong) == 2


class Killed(BaseException):
    """As if the process had ended there."""


def operations(monkeypatch: pytest.MonkeyPatch, fails: int, how: BaseException) -> list[str]:
    """Lets file operation number `fails` of the writer fail; returns what is done, as it is done."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def operation(*arguments: object, **keywords: object) -> object:
            done.append(name)
            if len(done) == fails:
                raise how
            return real(*arguments, **keywords)

        return operation

    for owner, name in (
        *((Path, each) for each in ("mkdir", "replace", "write_bytes")),
        *((os, each) for each in ("open", "fsync")),
        (snapshots, "save_file"),
        (shutil, "rmtree"),
    ):
        monkeypatch.setattr(owner, name, counted(name, getattr(owner, name)))
    return done


OPERATIONS = 16  # on files, while one snapshot is written


@pytest.mark.parametrize("fails", range(1, OPERATIONS + 1))
def test_killed_at_any_file_operation_there_is_a_whole_snapshot_to_go_on_from(
    kept: Snapshots, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    with monkeypatch.context() as patch:
        done = operations(patch, fails, Killed())
        with pytest.raises(Killed):
            kept.write(3, {"step": 3}, TENSORS.items())
    newest, wrong = kept.newest()
    assert newest is not None
    assert newest.step == (3 if "replace" in done[:-1] else 2)
    assert wrong == []
    kept.write(4, {}, TENSORS.items())
    assert steps(kept)[-1] == "000000004"
    assert len(steps(kept)) == 2


def test_there_are_no_more_file_operations_than_were_tried(kept: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    done = operations(monkeypatch, 0, Killed())
    kept.write(3, {}, TENSORS.items())
    assert len(done) == OPERATIONS


@pytest.mark.parametrize("fails", [2, 3, 4, 8, 9])
def test_a_full_disk_leaves_nothing_half_written(kept: Snapshots, monkeypatch: pytest.MonkeyPatch, fails: int) -> None:
    with monkeypatch.context() as patch:
        operations(patch, fails, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(OSError, match="No space left on device"):
            kept.write(3, {}, TENSORS.items())
    assert steps(kept) == ["000000001", "000000002"]
    assert kept.newest()[0] is not None
