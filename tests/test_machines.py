"""What accelerate starts us with: each file of recipes/machines/ works, and what the loop has not is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate.commands import launch
from accelerate.utils.launch import prepare_deepspeed_cmd_env

from finetune import InputError, Recipe, cli, run

MACHINES = Path(__file__).parents[1] / "recipes" / "machines"
STARTED = {
    "cpu": 1,
    "cpus": 2,
    "gpu": 1,
    "gpus": 2,
    "two_nodes": 16,
    "fsdp2": 2,
    "zero2": 2,
    "deepspeed_zero2": 2,
    "deepspeed_zero3": 2,
}  # on all machines together
SHARDED = {"fsdp2": 3, "zero2": 2}  # stages of ZeRO
BY_DEEPSPEED = {"deepspeed_zero2": 2, "deepspeed_zero3": 3}
LAUNCHERS = ("simple_launcher", "multi_gpu_launcher", "deepspeed_launcher")  # of accelerate


def test_every_file_is_tried() -> None:
    assert {path.stem for path in MACHINES.iterdir()} == set(STARTED)


def by_accelerate(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Namespace]:
    """The launcher that accelerate takes, and what it would start it with."""
    by: dict[str, Namespace] = {}
    for launcher in LAUNCHERS:
        monkeypatch.setattr(launch, launcher, lambda given, launcher=launcher: by.update({launcher: given}))
    command = ["--config_file", str(MACHINES / f"{name}.yaml"), "recipes/bert_r8.py", "--method", "full"]
    launch.launch_command(launch.launch_command_parser().parse_args(command))
    (found,) = by.items()
    return found


@pytest.mark.parametrize(("name", "count"), STARTED.items())
def test_accelerate_would_start_so_many_processes_that_train_as_ours_do(
    name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher, given = by_accelerate(name, monkeypatch)
    several = "deepspeed_launcher" if name in BY_DEEPSPEED else "multi_gpu_launcher"
    assert launcher == ("simple_launcher" if count == 1 else several)
    assert (given.num_processes, given.mixed_precision) == (count, "no")
    assert not any((given.use_megatron_lm, given.use_parallelism_config))
    assert (given.use_deepspeed, given.zero_stage) == (name in BY_DEEPSPEED, BY_DEEPSPEED.get(name))
    assert given.use_fsdp == (name in SHARDED)
    assert str(given.fsdp_reshard_after_forward).lower() == ("false" if SHARDED.get(name) == 2 else "true")
    assert given.num_machines == (2 if name == "two_nodes" else 1)
    assert given.use_cpu == (name == "cpu")


SCRIPT = '''"""A recipe of a test."""
from finetune import *
from finetune.cli import launch
from finetune.data.toy import ToyText

recipe = Recipe(name="toy", checkpoint=Local({checkpoint!r}), data=ToyText(), task=Classification(),
                method=LoRA(), budget=Budget(epochs=1, batch_size=16), precision="float32")

if __name__ == "__main__":
    launch(__file__)
'''


@pytest.mark.parametrize("name", ["cpu", "cpus", "fsdp2"])
def test_a_recipe_runs_on_the_machines_there_are_here(
    checkpoint: Callable[[str], Path], tmp_path: Path, own_cache: Path, name: str
) -> None:
    assert not own_cache.exists()
    script = tmp_path / "toy.py"
    script.write_text(SCRIPT.format(checkpoint=str(checkpoint("bert"))))
    config = ["--config_file", str(MACHINES / f"{name}.yaml")]
    command = [sys.executable, "-m", "accelerate.commands.launch", *config, str(script), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "out").glob("*/*/result.json")
    environment = json.loads(record.read_text())["environment"]
    assert (environment["processes"], environment["zero_stage"]) == (STARTED[name], SHARDED.get(name))


@pytest.mark.parametrize("name", ["deepspeed_zero3", pytest.param("deepspeed_zero2", marks=pytest.mark.slow)])
def test_a_launch_for_deepspeed_is_taken_for_one_of_the_same_stage_here(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In what accelerate's launcher sets for it, which itself needs the package."""
    _, given = by_accelerate(name, monkeypatch)
    _, environment = prepare_deepspeed_cmd_env(given)
    assert environment["ACCELERATE_USE_DEEPSPEED"] == "true"
    script = tmp_path / "toy.py"
    script.write_text(SCRIPT.format(checkpoint=str(checkpoint("bert"))))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(script), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = f"launched for DeepSpeed: stage {BY_DEEPSPEED[name]} of ZeRO by torch's FSDP2, in finetune's own loop"
    assert done.stderr.count(told) == 1
    (record,) = (tmp_path / "out").glob("*/*/result.json")
    assert json.loads(record.read_text())["environment"]["zero_stage"] == BY_DEEPSPEED[name]


@pytest.mark.parametrize(
    ("variable", "why"),
    [
        ("ACCELERATE_USE_MEGATRON_LM", "Megatron-LM is not supported: its models and its loop would be its own"),
        (
            "ACCELERATE_USE_PARALLELISM_CONFIG",
            "a parallelism_config is not supported: a model is spread in one way here",
        ),
    ],
)
def test_loops_that_are_not_ours_are_refused_with_what_works_and_where_it_is(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, why: str
) -> None:
    monkeypatch.setenv(variable, "true")
    monkeypatch.chdir(tmp_path)  # whoever installed the package has no clone to look into
    with pytest.raises(InputError) as refused:
        run(toy("bert"), out=tmp_path)
    assert str(refused.value) == (
        f"{variable} is true, and {why}; use fsdp2.yaml (as ZeRO-3) or zero2.yaml (as ZeRO-2), or gpus.yaml for a "
        f"model that one GPU can train: accelerate launch --config_file {MACHINES}/fsdp2.yaml"
    )
    assert not any(tmp_path.glob("*/*/status.json"))


def test_the_refusal_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    checkpoint: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = tmp_path / "toy.py"
    script.write_text(SCRIPT.format(checkpoint=str(checkpoint("bert"))))
    monkeypatch.setenv("ACCELERATE_USE_MEGATRON_LM", "true")
    assert cli.main(["run", str(script), "--out", str(tmp_path / "out")]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("finetune: ACCELERATE_USE_MEGATRON_LM is true, and Megatron-LM is not supported: ")
