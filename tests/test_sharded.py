"""A model spread over processes learns what it learns whole, and each process has a share of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import layouts
import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file
from torch import nn

from finetune import InputError, sharded, train
from finetune.sharded import ASKED, OFFLOAD, ON_FIRST, VERSION, Whole

QUICK = ("bert-full", "bert-lora-bfloat16", "gpt2-writes")
SLOW = [f"{family}-{method}" for family in tiny.CONFIGS for method in ("full", "lora")]
SLOW += [f"{family}-writes" for family in tiny.ENCODER_DECODERS]
SLOW += [f"{system}-scratch" for system in layouts.SYSTEMS]

KEPT = (".safetensors", ".jsonl")  # files in which the clock has no part


def left(kinds: tuple[str, ...] | list[str], folder: Path) -> Path:
    """What the program of `layouts.py` leaves in two processes."""
    layouts.checkpoints(list(kinds), folder)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(Path(layouts.__file__)), str(folder), *kinds]
    given = {"FINETUNE_CACHE": str(folder / "cache"), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return left(QUICK, tmp_path_factory.mktemp("layouts"))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.rglob("*model.safetensors")
    return load_file(path)


def apart(one: Path, other: Path) -> float:
    """The greatest difference of a weight, but for biases of keys: what comes to those is rounding alone."""
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours if "key.bias" not in name)


def losses(folder: Path) -> list[float]:
    (path,) = folder.rglob("curve.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("kind", QUICK)
def test_a_spread_model_learns_what_a_whole_one_learns(two: Path, kind: str) -> None:
    assert apart(two / kind / "spread", two / kind / "whole") <= 1e-6
    assert losses(two / kind / "spread") == pytest.approx(losses(two / kind / "whole"), abs=1e-6)


@pytest.mark.slow
def test_so_does_every_family_and_every_system(tmp_path: Path) -> None:
    folder = left(SLOW, tmp_path)
    for kind in SLOW:
        assert apart(folder / kind / "spread", folder / kind / "whole") <= 1e-5, kind


def test_and_so_does_one_whose_blocks_stay_whole_between_the_passes(two: Path) -> None:
    assert apart(two / QUICK[0] / "stage-2", two / QUICK[0] / "spread") <= 1e-7


def test_it_is_scored_and_saved_as_a_whole_one(two: Path) -> None:
    for kind in QUICK:
        found = []
        for layout in ("spread", "whole"):
            (record,) = (two / kind / layout).rglob("result.json")
            result = json.loads(record.read_text())
            assert (result["status"], result["broken"]) == ("done", [])
            assert result["environment"]["sharded"] == (layout == "spread")
            found.append((result["scores"], result["validation"], result["saved_bytes"]))
        assert found[0] == found[1]


def test_what_is_saved_of_a_model_that_computes_in_bfloat16_is_not_rounded(two: Path) -> None:
    saved = weights(two / "bert-lora-bfloat16" / "spread")
    assert any((each != each.bfloat16().float()).any() for name, each in saved.items() if "lora" in name)


def test_each_process_has_about_its_share_of_weights_and_masters(two: Path) -> None:
    for path in sorted((two / QUICK[0]).glob("rank-*.json")):
        weights, masters, whole = json.loads(path.read_text())
        assert 0.4 * whole < weights < 0.6 * whole
        assert 0.4 * whole < masters < 0.6 * whole


def test_the_best_epoch_is_kept_and_validated_with_the_whole_model(two: Path) -> None:
    folder = two / QUICK[0]
    assert apart(folder / "patient-spread", folder / "patient-whole") <= 1e-6
    assert "validation" in next((folder / "patient-spread").rglob("curve.jsonl")).read_text()


@pytest.mark.parametrize("name", ["whole-spread", "spread-whole"])
def test_a_snapshot_of_one_goes_on_as_the_other(two: Path, name: str) -> None:
    folder = two / QUICK[0]
    assert apart(folder / name, folder / "patient-whole") <= 1e-6
    assert losses(folder / name) == pytest.approx(losses(folder / "patient-whole"), abs=1e-6)


def test_one_that_is_killed_ends_with_the_bytes_of_one_that_is_not(two: Path) -> None:
    killed, whole = (
        {path.name: path.read_bytes() for path in (two / QUICK[0] / name).rglob("*") if path.suffix in KEPT}
        for name in ("spread-spread", "patient-spread")
    )
    assert {"model.safetensors", "predictions.jsonl", "curve.jsonl"} == killed.keys()
    assert killed == whole


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({VERSION: "1"}, "FSDP_VERSION must be 2, got 1: write fsdp_version: 2, as recipes/machines/fsdp2.yaml does"),
        ({}, "FSDP_VERSION must be 2, got 1"),
        (
            {VERSION: "2", OFFLOAD: "true"},
            "FSDP_OFFLOAD_PARAMS is true, and shares stay where they compute: write fsdp_offload_params: false",
        ),
    ],
)
def test_other_ways_to_spread_are_refused(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], words: str) -> None:
    for name, value in {ASKED: "true", **given}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=words):
        sharded.asked()


def test_every_process_reads_the_weights_whatever_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {ASKED: "true", VERSION: "2", ON_FIRST: "true"}.items():
        monkeypatch.setenv(name, value)
    assert sharded.asked()
    assert os.environ[ON_FIRST] == "false"


class _Spread(Whole):
    shared = True


def test_where_memory_runs_out_of_a_spread_model_it_is_said_what_to_set() -> None:
    def backward(_: np.ndarray) -> torch.Tensor:
        raise MemoryError

    def cut(whole: np.ndarray, _: int) -> list[np.ndarray]:
        return np.array_split(whole, 2)

    given: tuple[Callable[..., object], ...] = (backward, cut)
    state, layout = _State(), _Spread(nn.Identity())
    words = "memory does not suffice for 8 examples at a time.*--set budget.micro_batch=4"
    with pytest.raises(InputError, match=words):
        train._fitting(*given, np.arange(16), state, None, None, layout)  # pyright: ignore


class _State:
    def random(self) -> list[torch.Tensor]:
        return []
