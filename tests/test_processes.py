"""One process or many: the same weights, every row predicted once, and one answer to a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from processes import COUNTS, DRAWN, MICRO
from safetensors.torch import load_file

from finetune import InputError, cli
from finetune.processes import _ended, check

WORLDS = (1, 2, 3)


def environment(cache: Path) -> dict[str, str]:
    return os.environ | {"FINETUNE_CACHE": str(cache), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}


def torchrun(world: int) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)]


@pytest.fixture(scope="module")
def worlds(checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """What the program of `processes.py` left in one, two and three processes."""
    root = tmp_path_factory.mktemp("worlds")
    program = [str(Path(__file__).with_name("processes.py"))]
    for world in WORLDS:
        (root / str(world)).mkdir()
        before = [sys.executable] if world == 1 else torchrun(world)
        command = [*before, *program, str(root / str(world)), str(checkpoint("bert"))]
        done = subprocess.run(command, env=environment(root / "cache"), capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr[-3000:]
    return {world: root / str(world) for world in WORLDS}


def weights(folder: Path, micro: int | None, runs: str = "micro") -> dict[str, torch.Tensor]:
    (path,) = (folder / f"{runs}-{micro}").rglob("adapter_model.safetensors")
    return load_file(path)


def seen(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("rank-*.json"))]


@pytest.mark.parametrize(("runs", "pieces"), [("micro", MICRO), ("drawn", DRAWN)])
def test_any_number_of_processes_and_any_split_of_a_batch_learn_the_same(
    worlds: dict[int, Path], runs: str, pieces: tuple[int | None, ...]
) -> None:
    alone = weights(worlds[1], None, runs)
    assert max(float(tensor.abs().max()) for tensor in alone.values()) > 1e-3
    for world in WORLDS:
        for micro in pieces:
            other = weights(worlds[world], micro, runs)
            apart = max(float((alone[name] - other[name]).abs().max()) for name in alone)
            assert apart <= 1e-6, f"{world} processes, pieces of {micro}: {apart}"


def test_every_process_holds_each_prediction_once_and_the_scores_are_equal(worlds: dict[int, Path]) -> None:
    (alone,) = seen(worlds[1])
    for world in WORLDS:
        found = seen(worlds[world])
        assert [each.pop("processes") for each in found] == [world] * world
        for count in COUNTS:
            assert all(each[f"ids {count}"] == [f"test-{number}" for number in range(count)] for each in found)
        assert all(each.items() <= alone.items() for each in found)


SCRIPT = '''"""A recipe of a test."""
from finetune import *
from finetune.cli import launch
from finetune.data.toy import ToyText

recipe = Recipe(name="toy", checkpoint=Local({checkpoint!r}), data=ToyText(train=200), task=Classification(),
                method=Full(), budget=Budget(epochs=20, batch_size=8, snapshot_every=20), precision="float32")

if __name__ == "__main__":
    launch(__file__)
'''


def lines(out: Path) -> int:
    return sum(path.read_text().count("\n") for path in out.glob("*/*/curve.jsonl"))


def second(launcher: int) -> int:
    """The second of the processes that a launcher has started."""
    return next(each.pid for each in psutil.Process(launcher).children() if each.environ().get("RANK") == "1")


def asked(
    command: list[str], out: Path, cache: Path, after: int, number: int, whom: Callable[[int], int] = lambda pid: pid
) -> tuple[int, str]:
    """Start a run and send a signal once its curve has so many lines; its exit code, and what it said."""
    with subprocess.Popen(
        [*command, "--out", str(out)],
        env=environment(cache),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        while program.poll() is None and lines(out) < after:
            time.sleep(0.01)
        if program.poll() is None:
            os.kill(whom(program.pid), number)
        sent = time.monotonic()
        said = program.communicate(timeout=120)[1]
        assert time.monotonic() - sent < 10
        return program.returncode, said


def files(out: Path) -> dict[str, bytes]:
    (path,) = (each.parent for each in out.glob("*/*/result.json"))
    return {
        name: (path / name).read_bytes() for name in ("model/model.safetensors", "predictions.jsonl", "curve.jsonl")
    }


def status(out: Path) -> dict[str, Any]:
    (path,) = out.glob("*/*/status.json")
    return json.loads(path.read_text())


def test_two_processes_that_are_stopped_and_one_that_is_killed_go_on_to_the_same_bytes(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    script, cache = tmp_path / "toy.py", tmp_path / "cache"
    script.write_text(SCRIPT.format(checkpoint=str(checkpoint("bert"))))
    own = [sys.executable, "-m", "finetune", "run", str(script), "--processes", "2"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert asked(own, whole, cache, 10**6, 0)[0] == 0
    _, said = asked([*torchrun(2), str(script)], stopped, cache, 15, signal.SIGTERM)  # whose exit code is its own
    assert (status(stopped)["state"], status(stopped)["signal"]) == ("stopped", "SIGTERM"), said
    assert status(stopped)["updates"] > 0
    code, said = asked(own, stopped, cache, 25, signal.SIGINT)
    assert (code, status(stopped)["state"], status(stopped)["signal"]) == (130, "stopped", "SIGINT"), said
    code, said = asked(own, stopped, cache, 35, signal.SIGKILL, second)
    assert code == 137, said
    assert "process 1 of 2 was ended by SIGKILL; the same command goes on from the last snapshot" in said
    code, said = asked(own, stopped, cache, 10**6, 0)
    assert code == 0, said
    assert "goes on after update" in said
    assert files(stopped) == files(whole)
    assert status(stopped)["state"] == "done"


@pytest.mark.parametrize(
    ("codes", "code", "named"),
    [
        ({0: 1, 1: -9}, 137, ["process 1 of 2 was ended by SIGKILL"]),
        ({0: -15, 1: -9}, 137, ["process 1 of 2 was ended by SIGKILL"]),
        ({0: 2, 1: 2}, 2, []),
        ({0: 143}, 143, []),
        ({1: -15}, 143, ["process 1 of 2 was ended by SIGTERM"]),
    ],
)
def test_the_exit_code_is_of_the_process_that_began_it(codes: dict[int, int], code: int, named: list[str]) -> None:
    ended = _ended(codes, 2)
    assert ended.code == code
    assert [line.partition(";")[0] for line in ended.lost] == named


def test_another_number_of_processes_than_the_launcher_started_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="--processes is 2, and the launcher has started 4; leave --processes out"):
        check(2)


def test_no_processes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "bert_r8", "--processes", "0"]) == 2
    assert "--processes must be at least 1, got 0" in capsys.readouterr().err
