"""Interrupted anywhere, the same call goes on, and ends with the same bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import VOLATILE, Killed, folder, killed_after, left, left_when_killed_after
from safetensors import SafetensorError
from told import Told

from finetune import (
    AdamW,
    Blank,
    Budget,
    Classification,
    Full,
    InputError,
    LoRA,
    Recipe,
    Scratch,
    TextEncoder,
    allocator,
    keeper,
    load,
    run,
    signals,
    snapshots,
    train,
)
from finetune.data.toy import ToyText
from finetune.exchange import Exchange
from finetune.masters import Masters
from finetune.methods import Method
from finetune.outputs import RunFolder
from finetune.session import session
from finetune.signals import Stopped
from finetune.snapshots import Snapshots
from finetune.state import State
from finetune.transformer import networks
from finetune.transformer.norms.batch import BatchNorm
from finetune.transformer.tokenizers.words import Words


@pytest.fixture
def twenty(toy: Callable[[str], Recipe]) -> Recipe:
    """A run of twenty updates, with dropout, that takes a snapshot after each."""
    return replace(toy("bert"), budget=Budget(epochs=5, batch_size=16, snapshot_every=1))


@pytest.mark.parametrize(("micro", "method", "patience"), [(None, Full(), None), (6, LoRA(), None), (6, Full(), 3)])
def test_every_one_of_twenty_updates_is_a_point_to_go_on_from(
    twenty: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    micro: int | None,
    method: Method,
    patience: int | None,
) -> None:
    recipe = replace(twenty, method=method, budget=replace(twenty.budget, micro_batch=micro, patience=patience))
    steps = run(recipe, out=tmp_path / "whole").updates
    killed, whole = left_when_killed_after(range(1, steps + 1), recipe, tmp_path, monkeypatch)
    assert killed == whole


@pytest.mark.parametrize("family", ["llama", "dinov2"])
def test_the_other_families_go_on_as_exactly(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    recipe = replace(toy(family), budget=Budget(epochs=2, batch_size=16, snapshot_every=3), precision="bfloat16")
    killed, whole = left_when_killed_after([3], recipe, tmp_path, monkeypatch)
    assert killed == whole


def test_a_damaged_snapshot_costs_the_updates_since_the_one_before_and_is_named(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(twenty, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        killed_after(7, patch)
        with pytest.raises(Killed):
            run(twenty, out=tmp_path / "killed")
    damaged = folder(twenty, tmp_path / "killed") / "snapshots" / "000000007" / "000.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    told = Told()
    run(twenty, out=tmp_path / "killed", progress=told)
    assert any("not taken" in line and "000000007" in line for line in told.lines)
    assert "goes on after update 6" in told.lines
    assert left(twenty, tmp_path / "whole") == left(twenty, tmp_path / "killed")


def fits_no_tensors(*_: Any) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def test_a_disk_too_full_for_snapshots_costs_the_snapshots_and_not_the_run(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(twenty, out=tmp_path / "whole")
    monkeypatch.setattr(snapshots, "save_file", fits_no_tensors)
    told = Told()
    run(twenty, out=tmp_path / "full", progress=told)
    without = [line for line in told.lines if "No space left on device" in line]
    words = "[Errno 28] No space left on device; training goes on while its curve can be written"
    assert without == [f"no snapshot after update 1: {words}"]
    assert left(twenty, tmp_path / "whole") == left(twenty, tmp_path / "full")


def fills_up(folder: Path, step: int, patch: pytest.MonkeyPatch) -> None:
    """Once the snapshot of an update is there, nothing more fits the disk that a folder is on."""
    write, opens = Snapshots.write, Path.open

    def full(self: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        nowhere = mode != "r" and folder in self.parents
        return opens(Path("/dev/full") if nowhere else self, mode, *rest, **named)

    def writes(self: Snapshots, at: int, *rest: Any) -> None:
        write(self, at, *rest)
        if at == step:
            patch.setattr(snapshots, "save_file", fits_no_tensors)
            patch.setattr(Path, "open", full)

    patch.setattr(Snapshots, "write", writes)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full: nothing is as full as a full disk")
def test_a_disk_too_full_for_the_curve_ends_the_run_which_goes_on_when_there_is_room_again(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(twenty, out=tmp_path / "whole")
    told = Told()
    with monkeypatch.context() as patch:
        fills_up(tmp_path / "full", 5, patch)
        words = "cannot write .*: No space left on device; free some, and the same command goes on$"
        with pytest.raises(InputError, match=words):
            run(twenty, out=tmp_path / "full", progress=told)
    assert any(line.startswith("no snapshot after update 6: ") for line in told.lines)
    run(twenty, out=tmp_path / "full", progress=told)
    assert "goes on after update 5" in told.lines
    assert left(twenty, tmp_path / "whole") == left(twenty, tmp_path / "full")


def test_a_model_that_the_disk_has_no_room_for_is_one_line_and_comes_when_there_is_some(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(twenty, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Full, "save", fits_no_tensors)
        with pytest.raises(InputError, match="cannot write .*: No space left on device; free some, and the same"):
            run(twenty, out=tmp_path / "full")
    told = Told()
    run(twenty, out=tmp_path / "full", progress=told)
    assert "goes on after update 20" in told.lines
    assert left(twenty, tmp_path / "whole") == left(twenty, tmp_path / "full")


def kept_steps(recipe: Recipe, out: Path) -> list[str]:
    return sorted(path.name for path in (folder(recipe, out) / "snapshots").iterdir())


def test_a_gradient_without_a_number_ends_the_run_before_the_next_snapshot_whatever_its_loss(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = Masters.step, count(1)

    def steps_wrong(*arguments: Any) -> torch.Tensor:
        """The norm that nobody looks at: of the seventh update, where the curve has lines of the fourth and eighth."""
        norm = step(*arguments)
        return torch.full_like(norm, torch.nan) if next(steps) == 7 else norm

    monkeypatch.setattr(Masters, "step", steps_wrong)
    result = run(twenty, out=tmp_path)
    assert (result.status, result.updates) == ("diverged", 8)
    assert kept_steps(twenty, tmp_path) == ["000000005", "000000006"]


def test_of_a_run_that_diverges_the_last_good_snapshots_stay_and_no_model_and_it_is_not_made_again(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, passes = Classification.loss, count(1)

    def loses(*arguments: Any) -> torch.Tensor:
        return loss(*arguments) * (torch.nan if next(passes) > 6 else 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(Classification, "loss", loses)
        result = run(twenty, out=tmp_path)
    assert (result.status, result.saved, result.saved_bytes, result.broken) == ("diverged", "", 0, None)
    path = folder(twenty, tmp_path)
    names = ["curve.jsonl", "recipe.json", "result.json", "snapshots", "status.json"]
    assert sorted(each.name for each in path.iterdir()) == names
    found, wrong = Snapshots(path / "snapshots", session(twenty).fingerprint).newest()
    assert found is not None
    assert (found.step, wrong) == (6, [])
    assert all(tensor.isfinite().all() for _, tensor in found.tensors())
    before = left(twenty, tmp_path)
    again = run(twenty, out=tmp_path)
    assert again.before is not None
    assert (again, left(twenty, tmp_path)) == (result, before)
    assert json.loads((path / "status.json").read_text())["state"] == "diverged"
    with pytest.raises(InputError, match="holds a run that diverged: there is no model of it that predicts"):
        load(path)


def asked_at(step: int, number: int, patch: pytest.MonkeyPatch) -> None:
    """Send this process a signal during the update after `step`."""
    backward = train._fitting

    def sends(*arguments: Any) -> Any:
        state = next(each for each in arguments if isinstance(each, State))
        if state.count.step == step:
            os.kill(os.getpid(), number)
        return backward(*arguments)

    patch.setattr(train, "_fitting", sends)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_after_its_update_with_a_snapshot(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    recipe = replace(twenty, budget=replace(twenty.budget, snapshot_every=None))
    before = signal.getsignal(number)
    run(recipe, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        asked_at(12, number, patch)
        with pytest.raises(Stopped) as stopped:
            run(recipe, out=tmp_path / "stopped")
    assert (stopped.value.code, stopped.value.step) == (code, 13)
    assert signal.getsignal(number) == before
    status = json.loads((folder(recipe, tmp_path / "stopped") / "status.json").read_text())
    assert (status["state"], status["signal"], status["updates"]) == ("stopped", signal.Signals(number).name, 13)
    told = Told()
    run(recipe, out=tmp_path / "stopped", progress=told)
    assert "goes on after update 13" in told.lines
    assert left(recipe, tmp_path / "whole") == left(recipe, tmp_path / "stopped")


def test_a_second_ctrl_c_ends_it_at_once_and_the_snapshot_before_stays(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(signals, "ECHO", 0.0)
        for _ in range(2):
            asked_at(4, signal.SIGINT, patch)
        with pytest.raises(Stopped) as stopped:
            run(twenty, out=tmp_path)
    assert (stopped.value.code, stopped.value.step) == (130, None)
    names = sorted(path.name for path in (folder(twenty, tmp_path) / "snapshots").iterdir())
    assert names == ["000000003", "000000004"]


def test_what_a_launcher_passes_on_counts_once(twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        asked_at(4, signal.SIGINT, monkeypatch)
    with pytest.raises(Stopped) as stopped:
        run(twenty, out=tmp_path)
    assert (stopped.value.code, stopped.value.step) == (130, 5)


def test_a_launcher_that_the_same_ctrl_c_has_ended_changes_nothing(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_at(4, signal.SIGTERM, monkeypatch)  # which comes second: what is put around it comes first
    asked_at(4, signal.SIGINT, monkeypatch)
    with pytest.raises(Stopped) as stopped:
        run(twenty, out=tmp_path)
    assert (stopped.value.code, stopped.value.step) == (130, 5)


def test_a_finished_run_has_no_snapshots_left_and_says_done(twenty: Recipe, tmp_path: Path) -> None:
    run(twenty, out=tmp_path)
    path = folder(twenty, tmp_path)
    assert not (path / "snapshots").exists()
    assert json.loads((path / "status.json").read_text())["state"] == "done"


@pytest.mark.parametrize("ended", ["done", "diverged"])
def test_what_a_run_left_undone_that_was_killed_after_its_result_is_done_when_its_command_is_given_again(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    recipe = replace(twenty, method=Full(optim=AdamW(learning_rate=1e30))) if ended == "diverged" else twenty
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "settle", killed)
        with pytest.raises(Killed):
            run(recipe, out=tmp_path)
    path = folder(recipe, tmp_path)
    kept = kept_steps(recipe, tmp_path)
    assert json.loads((path / "status.json").read_text())["state"] == "running"
    holder = RunFolder(path.parent.parent, path.parent.name, path.name)
    with holder.lock():  # whoever holds it may be about to
        assert run(recipe, out=tmp_path).status == ended
        assert json.loads((path / "status.json").read_text())["state"] == "running"
    assert run(recipe, out=tmp_path).before is not None
    assert json.loads((path / "status.json").read_text())["state"] == ended
    assert (path / "snapshots").exists() == (ended == "diverged")
    assert kept
    assert not (path / "lock").exists()


@pytest.mark.parametrize("state", [None, "{"])
def test_a_result_is_read_whatever_became_of_the_file_beside_it_that_says_how_the_run_ended(
    twenty: Recipe, tmp_path: Path, state: str | None
) -> None:
    result = run(twenty, out=tmp_path)
    status = folder(twenty, tmp_path) / "status.json"
    status.unlink()
    if state is not None:
        status.write_text(state)
    assert run(twenty, out=tmp_path) == result
    assert status.exists() == (state is not None)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what a descriptor is of")
def test_everything_of_a_run_is_on_the_disk_before_its_result_and_then_that(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, flushed = os.fsync, list[Path]()

    def flushes(descriptor: int) -> None:
        flushed.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", flushes)
    run(twenty, out=tmp_path)
    path = folder(twenty, tmp_path)
    result = next(place for place, each in enumerate(flushed) if each.name.startswith(".result.json."))
    saved = {each for each in path.rglob("*") if each.name not in ("result.json", "status.json")} | {path}
    assert path / "model" / "model.safetensors" in saved
    assert saved <= set(flushed[:result])
    assert flushed[result + 1] == path  # the name that it has now


def test_a_run_that_failed_says_why_in_its_folder(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper.RunKeeper, "go_on", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(twenty, out=tmp_path)
    status = json.loads((folder(twenty, tmp_path) / "status.json").read_text())
    assert (status["state"], status["why"]) == ("failed", "ZeroDivisionError: division by zero")


def test_a_run_says_while_it_is_computed_that_it_is_and_by_whom(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, seen = session(twenty).folder(tmp_path), dict[str, Any]()
    monkeypatch.setattr(
        keeper.RunKeeper, "wants", lambda *_: seen.update(json.loads((here.path / "status.json").read_text())) or 0
    )
    run(twenty, out=tmp_path)
    assert (seen["state"], seen["process"]) == ("running", os.getpid())


def test_the_second_of_two_names_the_first_at_once(twenty: Recipe, tmp_path: Path) -> None:
    here = session(twenty).folder(tmp_path)
    with here.lock():
        here.status("running")
        started = time.monotonic()
        with pytest.raises(InputError, match=rf"process {os.getpid()} on \S+ is computing .*; wait for it, or stop it"):
            run(twenty, out=tmp_path)
        assert time.monotonic() - started < 1


def without_dropout(recipe: Recipe) -> Recipe:
    """LoRA keeps the backbone in eval mode."""
    return replace(recipe, method=LoRA(optim=AdamW(learning_rate=1e-3)))


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_where_memory_runs_out_pieces_are_halved_and_the_same_is_learned(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    recipe = without_dropout(twenty)
    whole = run(recipe, out=tmp_path / "whole")

    def runs_out(self: torch.nn.Module, **inputs: torch.Tensor) -> Any:
        if torch.is_grad_enabled() and len(inputs["input_ids"]) > 4:
            raise error
        return forward(self, **inputs)

    from transformers import BertForSequenceClassification

    forward = BertForSequenceClassification.forward
    monkeypatch.setattr(BertForSequenceClassification, "forward", runs_out)
    assert allocator.ran_out(error)
    small = run(recipe, out=tmp_path / "small")
    halved = [
        json.loads(line) for line in (folder(recipe, tmp_path / "small") / "curve.jsonl").read_text().splitlines()
    ]
    assert [line["micro_batch"] for line in halved if "micro_batch" in line] == [8, 4]
    assert small.scores == whole.scores


def test_averages_that_layers_keep_are_of_the_pieces_that_fit_and_not_of_those_that_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    assert not own_cache.exists()
    texts = ToyText(train=64)
    system = TextEncoder(width=32, heads=2, layers=2, inner=64, norm=BatchNorm())
    recipe = Recipe(
        name="toy",
        checkpoint=Blank(system=system, tokenizer=Words(), texts=texts),
        data=texts,
        task=Classification(),
        method=Scratch(),
        budget=Budget(epochs=1, batch_size=16),
        precision="float32",
    )
    forward = networks.Classifier.forward

    def runs_out(self: networks.Classifier, input_ids: torch.Tensor, **rest: Any) -> Any:
        found = forward(self, input_ids, **rest)
        if torch.is_grad_enabled() and len(input_ids) > 4:
            raise MemoryError
        return found

    run(replace(recipe, budget=replace(recipe.budget, micro_batch=4)), out=tmp_path / "small")
    monkeypatch.setattr(networks.Classifier, "forward", runs_out)
    assert run(recipe, out=tmp_path / "halved").environment["micro_batch"] == 4
    small, halved = (folder(recipe, tmp_path / name) / "model" / "model.safetensors" for name in ("small", "halved"))
    assert small.read_bytes() == halved.read_bytes()


def test_an_example_that_does_not_fit_alone_is_an_error_that_says_what_would(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import BertForSequenceClassification

    def runs_out(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(BertForSequenceClassification, "forward", runs_out)
    with pytest.raises(InputError, match="memory does not suffice for a single example: shorten texts, or train fewer"):
        run(twenty, out=tmp_path)


@pytest.mark.parametrize(
    ("part", "name", "what"),
    [
        (Masters, "__init__", "copies of what is trained"),
        (Masters, "step", "what the optimizer keeps of each parameter"),
        (Exchange, "close", "the gradients of other processes"),
    ],
)
def test_memory_that_runs_out_whatever_the_size_of_pieces_is_an_error_that_says_for_what_and_loses_no_snapshot(
    twenty: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type, name: str, what: str
) -> None:
    whole = run(twenty, out=tmp_path / "whole")
    calls = []

    def runs_out(self: Any, *given: Any, **named: Any) -> Any:
        calls.append(name)
        if name == "__init__" or len(calls) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return works(self, *given, **named)

    works = getattr(part, name)
    monkeypatch.setattr(part, name, runs_out)
    with pytest.raises(
        InputError, match=f"memory does not suffice for {what}: train fewer parameters, by --method lora"
    ):
        run(twenty, out=tmp_path / "short")
    if name != "__init__":
        assert kept_steps(twenty, tmp_path / "short")[-1] == "000000010"
    monkeypatch.setattr(part, name, works)
    assert run(twenty, out=tmp_path / "short").scores == whole.scores


@pytest.mark.parametrize(("before", "asked", "taken"), [(None, 2, 2), (8, 2, 2), (2, 8, 2), (2, None, 2)])
def test_a_run_that_goes_on_takes_the_smaller_of_the_pieces_it_had_and_those_it_is_asked_for(
    twenty: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: int | None,
    asked: int | None,
    taken: int,
) -> None:
    recipe = without_dropout(twenty)
    whole = run(recipe, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        killed_after(7, patch)
        with pytest.raises(Killed):
            run(replace(recipe, budget=replace(recipe.budget, micro_batch=before)), out=tmp_path / "killed")
    told = Told()
    found = run(
        replace(recipe, budget=replace(recipe.budget, micro_batch=asked)), out=tmp_path / "killed", progress=told
    )
    assert "goes on after update 7" in told.lines
    assert found.environment["micro_batch"] == taken
    assert found.scores == whole.scores


SLOW = """
import time
from pathlib import Path
from transformers import BertForSequenceClassification

forward, passes, asleep = BertForSequenceClassification.forward, [], Path({asleep!r})

def slow(self, **inputs):
    passes.append(inputs)
    if len(passes) == 13 and not asleep.exists():  # once: the run that goes on does not
        asleep.touch()
        time.sleep(100)
    return forward(self, **inputs)

BertForSequenceClassification.forward = slow
"""


def test_a_real_ctrl_c_twice_ends_a_slow_update_at_once_and_the_snapshot_before_is_gone_on_from(
    checkpoint: Callable[[str], Path], tmp_path: Path, own_cache: Path
) -> None:
    assert not own_cache.exists()
    script, slow, asleep, out = tmp_path / "toy.py", tmp_path / "slow.py", tmp_path / "asleep", tmp_path / "out"
    script.write_text(SCRIPT.format(checkpoint=str(checkpoint("bert"))).replace("epochs=10", "epochs=1"))
    slow.write_text(script.read_text().replace("\nif __name__", SLOW.format(asleep=str(asleep)) + "\nif __name__"))
    with started(slow, out) as program:
        while not asleep.exists():
            assert program.poll() is None
            time.sleep(0.01)
        program.send_signal(signal.SIGINT)
        time.sleep(2 * signals.ECHO)
        assert program.poll() is None
        program.send_signal(signal.SIGINT)
        said = program.communicate(timeout=50)[1]
    assert program.returncode == 130, said
    assert "stops after this update, with a snapshot; Ctrl-C once more: at once" in said
    assert "finetune: stopped by SIGINT\n" in said
    (status,) = out.glob("*/*/status.json")
    found = json.loads(status.read_text())
    assert (found["state"], found["signal"], found["updates"]) == ("stopped", "SIGINT", None)
    assert "goes on after update 10" in finished(slow, out)
    finished(script, tmp_path / "whole")
    assert left_by_program(out) == left_by_program(tmp_path / "whole")


SCRIPT = '''"""A recipe of a test."""
from dataclasses import replace
from finetune import *
from finetune.cli import launch
from finetune.data.toy import ToyText

recipe = Recipe(name="toy", checkpoint=Local({checkpoint!r}), data=ToyText(train=400), task=Classification(),
                method=Full(), budget=Budget(epochs=10, batch_size=8, snapshot_every=5), precision="float32")

if __name__ == "__main__":
    launch(__file__)
'''


@contextmanager
def started(script: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """A program of its own that runs the script; killed, if it still runs at the end."""
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), "--out", str(out)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as program:
        yield program
        program.kill()
        program.communicate()


def finished(script: Path, out: Path) -> str:
    """What it says on standard error of a run to the end."""
    with started(script, out) as program:
        said = program.communicate(timeout=120)[1]
        assert program.returncode == 0, said
        return said


def whole_lines(out: Path) -> int:
    return sum(path.read_text().count("\n") for path in out.glob("*/*/curve.jsonl"))


def left_by_program(out: Path) -> dict[str, Any]:
    (path,) = (each.parent for each in out.glob("*/*/recipe.json"))
    names = ("model/model.safetensors", "predictions.jsonl", "curve.jsonl")
    result = json.loads((path / "result.json").read_text())
    kept = {name: value for name, value in result.items() if name not in VOLATILE}
    return {name: (path / name).read_bytes() for name in names} | {"result": kept}


def marks(out: Path, process: int) -> int:
    """How far that process has come: one when it begins, for each line of its curve, and for its result."""
    began = any(json.loads(path.read_text()).get("process") == process for path in out.glob("*/*/status.json"))
    return began + whole_lines(out) + any(out.glob("*/*/result.json")) if began else 0


def course(script: Path, out: Path) -> list[float]:
    """When a run to the end came to each of its marks, in seconds."""
    times: list[float] = []
    with started(script, out) as program:
        while program.poll() is None:
            times += [time.monotonic()] * (marks(out, program.pid) - len(times))
            time.sleep(0.003)
        assert program.returncode == 0, program.communicate()[1]
    return times


def moments(kills: int, times: list[float], chance: random.Random) -> list[tuple[int, float]]:
    """Marks, and seconds after them: a quarter before the first update, a quarter after the last, the rest between."""
    around, lines = kills // 4, len(times) - 2
    before, after, line = times[1] - times[0], times[-1] - times[-2], (times[-2] - times[1]) / (lines - 1)
    between = sorted(chance.randint(2, lines) for _ in range(kills - 2 * around))
    return [
        *((1, chance.uniform(0, before)) for _ in range(around)),
        *((mark, chance.uniform(0, line)) for mark in between),
        *((lines + 1, chance.uniform(0, before + after)) for _ in range(around)),  # it reads what it goes on from first
    ]


def killed(script: Path, out: Path, mark: int, seconds: float) -> bool:
    """Start it, and kill it so long after that mark; whether it was at work then."""
    with started(script, out) as program:
        while program.poll() is None and marks(out, program.pid) < mark:
            time.sleep(0.003)
        with suppress(subprocess.TimeoutExpired):
            program.wait(seconds)
    return program.returncode == -signal.SIGKILL and not any(out.glob("*/*/result.json"))


def survive(kills: int, script: Path, out: Path, times: list[float]) -> None:
    """Kill it so many times, at moments drawn over a whole run; where it was done before, earlier and from before."""
    chance = random.Random(kills)
    out.mkdir()
    for mark, seconds in moments(kills, times, chance):
        kept = shutil.copytree(out, out.with_name("kept"))
        while not killed(script, out, mark, seconds):
            shutil.rmtree(out)
            shutil.copytree(kept, out)
            seconds = chance.uniform(0, seconds)
        shutil.rmtree(kept)


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_killed_at_moments_nobody_chose_the_same_command_ends_with_the_same_bytes(
    checkpoint: Callable[[str], Path], tmp_path: Path, own_cache: Path, kills: int
) -> None:
    assert not own_cache.exists()
    script = tmp_path / "toy.py"
    script.write_text(SCRIPT.format(checkpoint=str(checkpoint("bert"))))
    survive(kills, script, tmp_path / "killed", course(script, tmp_path / "whole"))
    assert "goes on after update" in finished(script, tmp_path / "killed")
    assert left_by_program(tmp_path / "killed") == left_by_program(tmp_path / "whole")
    assert "done before" in finished(script, tmp_path / "killed")
