"""One process or many: the same weights, every row predicted once, and one answer to a signal."""

from __future__ import annotations

import json
import os
import platform
import re
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
from processes import COUNTS, DRAWN, FITS, MICRO, WAYS
from safetensors.torch import load_file

from finetune import InputError, cli, outputs, processes
from finetune.launch import BY_ACCELERATE
from finetune.peers import LOST, VARIABLE
from finetune.processes import Ended, Failure, _ended, check

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


def weights(folder: Path, name: str = "micro-None") -> dict[str, torch.Tensor]:
    (path,) = (each for each in (folder / name).rglob("*model.safetensors"))
    return load_file(path)


def curve(folder: Path, name: str) -> list[dict[str, Any]]:
    (path,) = (folder / name).rglob("curve.jsonl")
    return outputs.read_lines(path)


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def seen(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("rank-*.json"))]


@pytest.mark.parametrize(("runs", "pieces"), [("micro", MICRO), ("drawn", DRAWN)])
def test_any_number_of_processes_and_any_split_of_a_batch_learn_the_same(
    worlds: dict[int, Path], runs: str, pieces: tuple[int | None, ...]
) -> None:
    alone = weights(worlds[1], f"{runs}-None")
    assert max(float(tensor.abs().max()) for tensor in alone.values()) > 1e-3
    for world in WORLDS:
        for micro in pieces:
            apart = difference(alone, weights(worlds[world], f"{runs}-{micro}"))
            assert apart <= 1e-6, f"{world} processes, pieces of {micro}: {apart}"


def test_every_process_holds_each_prediction_once_and_the_scores_are_equal(worlds: dict[int, Path]) -> None:
    (alone,) = seen(worlds[1])
    for world in WORLDS:
        found = seen(worlds[world])
        assert [each.pop("own")["processes"] for each in found] == [world] * world
        for count in COUNTS:
            assert all(each[f"ids {count}"] == [f"test-{number}" for number in range(count)] for each in found)
        assert all(each.items() <= alone.items() for each in found)


@pytest.mark.parametrize("way", WAYS)
def test_where_one_process_runs_out_of_memory_all_halve_at_the_same_update_and_learn_the_same(
    worlds: dict[int, Path], way: str
) -> None:
    for world in WORLDS:
        apart = difference(weights(worlds[1]), weights(worlds[world], way))
        assert apart <= 1e-6, f"{world} processes: {apart}"
        whole, halved = curve(worlds[world], "micro-None"), curve(worlds[world], way)
        told = [line for line in halved if "micro_batch" in line]
        assert {(line["step"], line["why"]) for line in told} == {(0, "out of memory")}
        assert told[-1]["micro_batch"] <= FITS
        assert [each["own"][way] for each in seen(worlds[world])] == [told[-1]["micro_batch"]] * world
        rest = [line for line in halved if "micro_batch" not in line]
        assert [line["step"] for line in rest] == [line["step"] for line in whole]
        for one, other in zip(rest, whole, strict=True):
            assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)


def test_an_update_that_is_made_anew_draws_the_random_numbers_that_it_drew(worlds: dict[int, Path]) -> None:
    for world in WORLDS:
        assert difference(weights(worlds[world], "halved"), weights(worlds[world], "small")) == 0.0


def test_a_tensor_that_no_gradient_comes_to_stays_as_it_was_in_any_number_of_processes(
    worlds: dict[int, Path], checkpoint: Callable[[str], Path]
) -> None:
    before = load_file(checkpoint("bert") / "model.safetensors")
    name = "encoder.layer.0.attention.self.query.weight"
    for world in WORLDS:
        assert {each["own"]["unreached"] for each in seen(worlds[world])} == {"done"}
        assert torch.equal(weights(worlds[world], "unreached")[f"bert.{name}"], before[name])


@pytest.mark.parametrize(
    ("what", "at", "good"), [("no number", 16, ["000000007"]), ("far above", 32, ["000000021", "000000028"])]
)
def test_where_the_losses_of_one_process_diverge_all_stop_at_the_same_update(
    worlds: dict[int, Path], what: str, at: int, good: list[str]
) -> None:
    for world in WORLDS:
        assert [each["own"][what] for each in seen(worlds[world])] == [["diverged", at]] * world
        (record,) = (worlds[world] / what).rglob("result.json")
        assert json.loads(record.read_text())["updates"] == at
        assert sorted(path.name for path in (record.parent / "snapshots").iterdir()) == good
        assert not (record.parent / "model").exists()


def test_what_the_first_process_finds_in_the_folder_is_what_all_go_by(worlds: dict[int, Path]) -> None:
    for world in WORLDS:
        assert [each["own"]["behind"] for each in seen(worlds[world])] == [[False, True]] * world


SCRIPT = '''"""A recipe of a test."""
from finetune import *
from finetune.cli import launch
from finetune.data.toy import ToyText

recipe = Recipe(name="toy", checkpoint=Local({checkpoint!r}), data=ToyText(train=200), task=Classification(),
                method=Full(), budget=Budget(epochs=10, batch_size=8, snapshot_every=20), precision="float32")

if __name__ == "__main__":
    launch(__file__)
'''


def lines(out: Path) -> int:
    return sum(path.read_text().count("\n") for path in out.glob("*/*/curve.jsonl"))


def of_rank(launcher: int, rank: str) -> int:
    """The process of that rank that a launcher has started."""
    return next(each.pid for each in psutil.Process(launcher).children() if each.environ().get("RANK") == rank)


def second(launcher: int) -> int:
    return of_rank(launcher, "1")


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
        assert time.monotonic() - sent < 60  # it ends, and does not wait for a timeout
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
    code, said = asked(own, whole, cache, 10**6, 0)
    assert code == 0, said
    _, said = asked([*torchrun(2), str(script)], stopped, cache, 4, signal.SIGTERM)  # whose exit code is its own
    assert (status(stopped)["state"], status(stopped)["signal"]) == ("stopped", "SIGTERM"), said
    assert status(stopped)["updates"] > 0
    code, said = asked(own, stopped, cache, 10, signal.SIGINT)
    assert (code, status(stopped)["state"], status(stopped)["signal"]) == (130, "stopped", "SIGINT"), said
    code, said = asked(own, stopped, cache, 16, signal.SIGKILL, second)
    assert code == 137, said
    assert "process 1 of 2 was ended by SIGKILL; the same command goes on from the last snapshot" in said
    code, said = asked(own, stopped, cache, 10**6, 0)
    assert code == 0, said
    assert "goes on after update" in said
    assert files(stopped) == files(whole)
    assert status(stopped)["state"] == "done"


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its launcher has ended")


@LINUX
def test_a_run_whose_launcher_is_stopped_stops_with_a_snapshot_and_goes_on_to_the_same_bytes(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    script, cache, whole, stopped = tmp_path / "toy.py", tmp_path / "cache", tmp_path / "whole", tmp_path / "stopped"
    script.write_text(SCRIPT.format(checkpoint=str(checkpoint("bert"))))
    own = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"]
    own += ["--mixed_precision", "no", "--dynamo_backend", "no", str(script)]
    code, said = asked([sys.executable, str(script)], whole, cache, 10**6, 0)
    assert code == 0, said
    code, said = asked(own, stopped, cache, 5, signal.SIGTERM)  # reads until the run itself has ended
    assert code == -signal.SIGTERM
    assert (status(stopped)["state"], status(stopped)["signal"]) == ("stopped", "SIGTERM"), said
    assert "finetune: stopped by SIGTERM after update" in said
    code, said = asked(own, stopped, cache, 10**6, 0)
    assert code == 0, said
    assert "goes on after update" in said
    assert files(stopped) == files(whole)


LAUNCHER = """
import os, subprocess, sys
ours, theirs = os.pipe()
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(theirs)], pass_fds=[theirs])
os.read(ours, 1)
"""
BEGINS = """
import finetune, os, sys, time
launcher = os.getppid()
os.write(int(sys.argv[1]), b".")
while os.getppid() == launcher:
    time.sleep(0.01)
from finetune import launch
launch.end_with_launcher()
print("went on")
"""


@LINUX
@pytest.mark.parametrize(("marked", "said"), [(True, ""), (False, "went on\n")])
def test_a_launcher_that_ended_while_its_process_began_is_noticed(tmp_path: Path, marked: bool, said: str) -> None:
    given = environment(tmp_path) | ({BY_ACCELERATE: "default"} if marked else {})
    done = subprocess.run([sys.executable, "-c", LAUNCHER, BEGINS], env=given, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (said, "")


ENDS = """
import atexit
from pathlib import Path

def threads():
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    print("loop" if any("gloo" in name for name in names) else "none", flush=True)

atexit.register(threads)  # the first to register is the last to be called
from finetune import exchange, sharded
from finetune.launch import open_accelerator
open_accelerator()
sharded._mesh("cpu")
exchange._hosts("cuda")  # where a GPU computes, hosts have connections of their own
threads()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the names of threads that are no Python's are read from /proc")
def test_no_thread_that_sends_to_other_processes_outlives_python(tmp_path: Path) -> None:
    script = tmp_path / "ends.py"
    script.write_text(ENDS)
    given = environment(tmp_path / "cache")
    done = subprocess.run([*torchrun(2), str(script)], env=given, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [done.stdout.count(each) for each in ("loop", "none")] == [2, 2], done.stdout  # lines of both may mix


def test_a_process_that_is_stopped_is_named_by_the_others_which_end_and_go_on_to_the_same_bytes(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    script, cache = tmp_path / "toy.py", tmp_path / "cache"
    script.write_text(SCRIPT.format(checkpoint=str(checkpoint("bert"))))
    own = [sys.executable, "-m", "finetune", "run", str(script), "--processes", "2"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    code, said = asked(own, whole, cache, 10**6, 0)
    assert code == 0, said
    with subprocess.Popen(
        [*own, "--out", str(stopped)],
        env=environment(cache) | {VARIABLE: "10"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        while lines(stopped) < 6:
            assert program.poll() is None
            time.sleep(0.01)
        first, other = of_rank(program.pid, "0"), of_rank(program.pid, "1")
        os.kill(other, signal.SIGSTOP)
        psutil.wait_procs([psutil.Process(first)], timeout=60)
        found = status(stopped)
        os.kill(other, signal.SIGKILL)  # else the launcher waits half a minute for it
        said = program.communicate(timeout=60)[1]
    line = f"process 1 of 2, on {platform.node()}, was silent for 10 s; the same command goes on from the last snapshot"
    assert (found["state"], found["why"]) == ("lost", line)
    assert said.count(f"finetune: {line}") == 1
    assert "Traceback" not in said
    code, said = asked(own, stopped, cache, 10**6, 0)
    assert code == 0, said
    assert "goes on after update" in said
    assert files(stopped) == files(whole)


def test_what_is_wrong_for_all_processes_or_for_the_first_is_said_once(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    script, out = tmp_path / "toy.py", tmp_path / "out"
    script.write_text(SCRIPT.format(checkpoint=str(checkpoint("bert"))))
    out.write_text("a file")
    own = [sys.executable, "-m", "finetune", "run", str(script), "--processes", "2", "--out", str(out)]
    for more, words in (
        (["--set", "budget.epochs=0"], "budget.epochs must be at least 1, got 0"),
        ([], f"cannot write {out}/.*: Not a directory; choose another --out"),
    ):
        done = subprocess.run([*own, *more], env=environment(tmp_path / "cache"), capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        (line,) = (each for each in done.stderr.splitlines() if each.startswith("finetune: "))
        assert re.fullmatch(f"finetune: {words}", line)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("failed", "code", "named"),
    [
        ({0: Failure(1), 1: Failure(-9)}, 137, ["process 1 of 2 was ended by SIGKILL"]),
        ({0: Failure(-15), 1: Failure(-9)}, 137, ["process 1 of 2 was ended by SIGKILL"]),
        ({0: Failure(LOST, line="gone"), 1: Failure(-9)}, 137, ["process 1 of 2 was ended by SIGKILL"]),
        ({0: Failure(2, line="wrong"), 1: Failure(2, line="wrong")}, 2, ["wrong"]),
        ({0: Failure(2, line="wrong"), 1: Failure(-15)}, 2, ["wrong"]),
        ({0: Failure(LOST, line="gone"), 1: Failure(2, line="wrong")}, 2, ["wrong"]),
        ({0: Failure(LOST, line="gone"), 1: Failure(LOST, line="gone")}, LOST, ["gone"]),
        ({0: Failure(LOST), 1: Failure(-9, at=30)}, LOST, []),  # stopped, so that it did not hear it was to end
        ({0: Failure(143, line="stopped by SIGTERM")}, 143, ["stopped by SIGTERM"]),
        ({1: Failure(-15)}, 143, ["process 1 of 2 was ended by SIGTERM"]),
    ],
)
def test_the_exit_code_and_the_words_are_of_the_process_that_began_it(
    failed: dict[int, Failure], code: int, named: list[str]
) -> None:
    ended = _ended(failed, 2)
    assert ended.code == code
    assert [line.partition(";")[0] for line in ended.lines] == named


def test_another_number_of_processes_than_the_launcher_started_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="--processes is 2, and the launcher has started 4; leave --processes out"):
        check(2)


def test_no_processes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "bert_r8", "--processes", "0"]) == 2
    assert "--processes must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["true", "1"])
def test_a_machine_with_a_gpu_starts_any_number_of_processes_on_its_cpu_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    began = []
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(processes, "_start", lambda count, *_: began.append(count) or Ended(0))
    words = "must be at most the 1 GPUs of this machine, got 2; ACCELERATE_USE_CPU=true before the command"
    with pytest.raises(InputError, match=words):
        processes.start(2, ["run"])
    assert processes.start(1, ["run"]) == Ended(0)
    assert os.environ["ACCELERATE_USE_CPU"] == "false"
    monkeypatch.setenv("ACCELERATE_USE_CPU", asked)
    assert processes.start(2, ["run"]) == Ended(0)
    assert began == [1, 2]
