"""A model spread over processes learns what it learns whole, and each process has a share of it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import layouts
import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file
from torch import distributed, nn

from finetune import AdamW, InputError, sharded, train
from finetune.masters import Masters
from finetune.sharded import Layout

QUICK = ("bert-full-bfloat16", "bert-full", "bert-lora", "gpt2-writes")
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


def ranks(folder: Path) -> list[dict[str, int]]:
    """What each process has seen."""
    paths = sorted((folder / QUICK[0]).glob("rank-*.json"))
    assert len(paths) == 2
    return [json.loads(path.read_text()) for path in paths]


def losses(folder: Path) -> list[float]:
    (path,) = folder.rglob("curve.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("kind", QUICK)
def test_a_spread_model_learns_what_a_whole_one_learns(two: Path, kind: str) -> None:
    assert apart(two / kind / "spread", two / kind / "whole") <= 1e-6
    assert losses(two / kind / "spread") == pytest.approx(losses(two / kind / "whole"), abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
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
            assert result["environment"]["zero_stage"] == (3 if layout == "spread" else None)
            found.append((result["scores"], result["validation"], result["saved_bytes"]))
        assert found[0] == found[1]


def test_what_is_saved_of_a_model_that_computes_in_bfloat16_is_not_rounded(two: Path) -> None:
    saved = weights(two / "bert-full-bfloat16" / "spread")
    assert all((each != each.bfloat16().float()).any() for name, each in saved.items() if name.endswith("dense.weight"))


def test_each_process_has_about_its_share_of_weights_and_masters(two: Path) -> None:
    for seen in ranks(two):
        assert 0.4 * seen["whole"] < seen["weights"] < 0.6 * seen["whole"]
        assert 0.4 * seen["whole"] < seen["masters"] < 0.6 * seen["whole"]


def test_blocks_stay_whole_after_the_forward_pass_at_stage_2_alone(two: Path) -> None:
    assert [(seen["stage-2"], seen["spread"]) for seen in ranks(two)] == [(2, 0), (2, 0)]


def test_a_full_disk_ends_no_run(two: Path) -> None:
    assert apart(two / QUICK[0] / "full-disk", two / QUICK[0] / "spread") == 0.0


def test_the_best_epoch_is_kept_and_validated_with_the_whole_model(two: Path) -> None:
    folder = two / QUICK[0]
    assert apart(folder / "patient-spread", folder / "patient-whole") <= 1e-6
    assert "validation" in next((folder / "patient-spread").rglob("curve.jsonl")).read_text()


@pytest.mark.parametrize("name", ["whole-spread", "spread-whole"])
def test_a_snapshot_of_one_goes_on_as_the_other(two: Path, name: str) -> None:
    folder = two / QUICK[0]
    assert apart(folder / name, folder / "patient-whole") <= 1e-6
    assert losses(folder / name) == pytest.approx(losses(folder / "patient-whole"), abs=1e-6)


def test_one_that_was_asked_to_stop_in_one_process_ends_with_the_bytes_of_one_that_was_not(two: Path) -> None:
    killed, whole = (
        {path.name: path.read_bytes() for path in (two / QUICK[0] / name).rglob("*") if path.suffix in KEPT}
        for name in ("spread-spread", "patient-spread")
    )
    assert {"model.safetensors", "predictions.jsonl", "curve.jsonl"} == killed.keys()
    assert killed == whole


def test_a_model_that_leaves_out_blocks_at_random_is_refused() -> None:
    module = nn.Module()
    module.config = SimpleNamespace(encoder_layerdrop=0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(
        InputError, match="encoder_layerdrop must be 0 in config.json where .* got 0.1: each would leave"
    ):
        sharded.Sharded(module, SimpleNamespace())  # pyright: ignore[reportArgumentType]


class Blocks(nn.Module):
    """A table of which training looks up some rows, two blocks, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(10, 4), nn.Linear(4, 1)
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x_NE = self.table(ids)
        for block in self.blocks:
            x_NE = block(x_NE).tanh()
        return self.head(x_NE)


@pytest.fixture
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[torch.device]:
    """A device, and a group of this process alone that computes on it."""
    backend = {"cpu": "gloo", "cuda": "nccl"}[request.param]
    distributed.init_process_group(backend, init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    sharded._mesh.cache_clear()
    yield torch.device(request.param)
    sharded._mesh.cache_clear()
    distributed.destroy_process_group()


ON_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_GPU)], indirect=True)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_that_is_done_with_shares_is_done_on_the_device(device: torch.device, dtype: torch.dtype) -> None:
    """Of one process, whose shares are all there is."""
    torch.manual_seed(0)
    optim, rows, ids = AdamW(learning_rate=0.1), torch.tensor([2, 3, 7]), torch.tensor([2, 3, 7, 7], device=device)
    start = Blocks().to(device, dtype)
    alone: Any = SimpleNamespace(device=device, process_index=0, num_processes=1, is_main_process=True)
    left = []
    for spread in (Layout, lambda module: sharded.Sharded(module, alone)):
        module = copy.deepcopy(start)
        layout = spread(module)
        masters = Masters(
            optim.groups(layout.module),
            optim.build,
            layout.tables({cast(nn.Parameter, module.table.weight): rows}),
            layout,
        )
        masters.collect_at_once()
        names = {id(parameter): name for name, parameter in layout.module.named_parameters()}
        for _ in range(2):
            layout(ids=ids).float().square().sum().backward()
            masters.step(1.0, 1.0)
        with layout.lent(masters):
            said = module(ids).float()
        state = [(name, tensor.clone()) for name, tensor in masters.state(names)]
        layout(ids=ids).float().sum().backward()
        masters.step(1.0, 1.0)
        masters.put_back(names, state, ())
        learned = layout.learned(masters)
        assert torch.equal(module(ids).float(), said)
        assert not learned.unreached
        learned.unrounded()
        left.append((said, *(each.detach().cpu() for each in module.parameters()), *dict(state).values()))
    for whole, shared in zip(*left, strict=True):
        assert torch.allclose(whole.cpu(), shared.cpu(), atol=1e-6)


class _Spread(Layout):
    spread = True


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (16, "memory does not suffice for 8 examples at a time.*--set budget.micro_batch=4"),
        (2, "memory does not suffice for a single example"),
    ],
)
def test_where_memory_runs_out_of_a_spread_model_it_is_said_what_to_set(rows: int, words: str) -> None:
    def backward(_: np.ndarray) -> torch.Tensor:
        raise MemoryError

    def cut(whole: np.ndarray, _: int) -> list[np.ndarray]:
        return np.array_split(whole, 2)

    given: tuple[Callable[..., object], ...] = (backward, cut)
    state, layout = _State(), _Spread(nn.Identity())
    with pytest.raises(InputError, match=words):
        train._fitting(*given, np.arange(rows), state, None, None, layout)  # pyright: ignore


class _State:
    def remembered(self) -> Callable[[], None]:
        return lambda: None
