"""On a GPU: bfloat16 in every family, the same bytes after an interruption, and its memory's end is not the run's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from interrupted import left, left_when_killed_after
from torch import nn
from torch.nn import functional as F

from finetune import (
    AdamW,
    Blank,
    Budget,
    Classification,
    Frozen,
    Full,
    LoRA,
    Recipe,
    Scratch,
    exchange,
    outputs,
    run,
)
from finetune.data.toy import ToyPairs
from finetune.masters import Masters
from finetune.methods import Method
from finetune.repeatable import bicubic, repeatable
from finetune.transformer.systems.recurrent import Recurrent
from finetune.transformer.systems.transformer import Transformer
from finetune.transformer.tokenizers.words import Words

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU"),
]

ROOT = Path(__file__).parents[1]
each_family = pytest.mark.parametrize("family", [*tiny.CONFIGS])
each_method = pytest.mark.parametrize("method", [Frozen(), LoRA(), Full()], ids=lambda method: type(method).__name__)


@each_family
@each_method
def test_a_run_computes_in_bfloat16_and_says_where(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str, method: Method
) -> None:
    result = run(replace(toy(family), method=method, precision="auto"), out=tmp_path)
    assert (result.status, result.broken, result.precision) == ("done", (), "bfloat16")
    assert result.environment["device"] == torch.cuda.get_device_name()
    assert 0 < result.peak_memory_bytes < torch.cuda.get_device_properties(0).total_memory


@each_family
@pytest.mark.parametrize("method", [LoRA(), Full()], ids=lambda method: type(method).__name__)
def test_a_run_that_was_killed_ends_with_the_bytes_of_one_that_was_not(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, method: Method
) -> None:
    recipe = replace(
        toy(family), method=method, budget=Budget(epochs=2, batch_size=16, snapshot_every=3), precision="bfloat16"
    )
    killed, whole = left_when_killed_after([3], recipe, tmp_path, monkeypatch)
    assert killed == whole


@pytest.fixture
def writes(toy_pairs: Callable[[str], Recipe]) -> Callable[[str], Recipe]:
    """A recipe that writes: of a checkpoint, or of a system from scratch."""
    recurrent, transformer = Recurrent(width=32, layers=2), Transformer(width=32)
    systems = {"rnn": replace(recurrent, cell="rnn"), "lstm": recurrent, "transformer": transformer}

    def recipe(name: str) -> Recipe:
        if name not in systems:
            return toy_pairs(name)
        blank = Blank(system=systems[name], tokenizer=Words(), texts=ToyPairs())
        return replace(toy_pairs("marian"), checkpoint=blank, method=Scratch(optim=AdamW(learning_rate=1e-3)))

    return recipe


@pytest.mark.parametrize("name", [*tiny.ENCODER_DECODERS, "gpt2", "rnn", "lstm", "transformer"])
def test_so_does_one_that_writes(
    writes: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    recipe = replace(writes(name), budget=Budget(epochs=2, batch_size=16, snapshot_every=3), precision="bfloat16")
    killed, whole = left_when_killed_after([3], recipe, tmp_path, monkeypatch)
    assert killed == whole


def test_another_process_comes_to_the_same_bytes(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), precision="bfloat16")
    run(recipe, out=tmp_path / "here")
    folder = Path(recipe.checkpoint.folder)  # pyright: ignore
    elsewhere(f"replace(tiny.recipe('bert', Path({str(folder)!r})), precision='bfloat16')", tmp_path / "there")
    assert left(recipe, tmp_path / "here") == left(recipe, tmp_path / "there")


def test_what_has_no_kernel_that_adds_in_one_order_is_an_error_and_not_another_number() -> None:
    image_NCHW = torch.randn(1, 1, 9, 9, device="cuda", requires_grad=True)
    with repeatable(torch.device("cuda")), pytest.raises(RuntimeError, match="upsample_bicubic2d_backward"):
        F.interpolate(image_NCHW, size=(4, 4), mode="bicubic").sum().backward()
    made_NChw = bicubic(image_NCHW, size=(4, 4))
    with repeatable(torch.device("cuda")):
        made_NChw.sum().backward()


def elsewhere(recipe: str, out: Path, **environment: str) -> None:
    """Run what is written of a recipe in a process of its own."""
    program = (
        "from pathlib import Path; from dataclasses import replace; import tiny; "
        f"from finetune import Budget, LoRA, run; run({recipe}, out={str(out)!r})"
    )
    known = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT / "tests")])}
    subprocess.run([sys.executable, "-c", program], env=known | environment, check=True, timeout=300)


@pytest.mark.parametrize("family", tiny.PACKAGED_FAMILIES)
def test_it_learns_what_a_cpu_learns_as_nearly_as_float32_has_it(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str
) -> None:
    # LoRA, which has no dropout: a GPU draws other numbers
    recipe = replace(toy(family), method=LoRA(), budget=Budget(epochs=5, batch_size=16))
    run(recipe, out=tmp_path / "gpu")
    folder = Path(recipe.checkpoint.folder)  # pyright: ignore
    same = f"tiny.recipe({family!r}, Path({str(folder)!r})), method=LoRA(), budget=Budget(epochs=5, batch_size=16)"
    elsewhere(f"replace({same})", tmp_path / "cpu", CUDA_VISIBLE_DEVICES="")
    gpu, cpu = (losses(tmp_path / where) for where in ("gpu", "cpu"))
    assert len(gpu) == len(cpu) > 0
    assert max(abs(ours - theirs) for ours, theirs in zip(gpu, cpu, strict=True)) < 1e-4


def losses(out: Path) -> list[float]:
    (path,) = out.rglob("curve.jsonl")
    return [line["loss"] for line in outputs.read_lines(path) if "loss" in line]


@pytest.fixture
def little_memory() -> Iterator[Callable[[int], None]]:
    """Gives this process so many bytes more than it holds already."""

    def give(more: int) -> None:
        torch.cuda.empty_cache()
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + more) / whole)

    yield give
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_where_memory_runs_out_micro_batches_are_halved_and_all_else_stays(
    toy: Callable[[str], Recipe], tmp_path: Path, little_memory: Callable[[int], None]
) -> None:
    recipe = replace(toy("dinov2"), task=Classification(image_size=112), budget=Budget(epochs=1, batch_size=64))
    roomy = run(recipe, out=tmp_path / "roomy")
    little_memory(roomy.peak_memory_bytes // 2)
    tight = run(recipe, out=tmp_path / "tight")
    (path,) = (tmp_path / "tight").rglob("curve.jsonl")
    told = [line for line in outputs.read_lines(path) if line.get("why") == "out of memory"]
    assert told
    assert tight.environment["micro_batch"] < 64
    assert (tight.status, tight.updates) == ("done", roomy.updates)
    assert losses(tmp_path / "tight") == pytest.approx(losses(tmp_path / "roomy"), rel=1e-4)


@pytest.fixture
def alone_with_nccl(tmp_path: Path) -> Iterator[Any]:
    """A group of one process that takes itself for one of two: what all of two send is half of what there is."""
    torch.distributed.init_process_group("nccl", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    exchange._hosts.cache_clear()
    yield SimpleNamespace(num_processes=2, device=torch.device("cuda", 0))
    exchange._hosts.cache_clear()
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_go_through_nccl_while_the_pass_goes_on(
    alone_with_nccl: Any, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(exchange, "PORTION", 1000)  # several portions
    torch.manual_seed(0)
    module = nn.Sequential(*(nn.Linear(64, 64) for _ in range(4))).to("cuda", dtype)
    exchange.alike(module, alone_with_nccl)
    masters = Masters([{"params": list(module.parameters())}], lambda groups: torch.optim.AdamW(groups, fused=True))
    both = exchange.Exchange(module, masters, alone_with_nccl)
    batch_BD = torch.randn(8, 64, device="cuda", dtype=dtype)
    both.last()
    module(batch_BD).square().sum().backward()
    assert both._sent, "nothing was under way before the pass was over"
    both.close()
    found = masters.found(range(len(masters.masters)))
    twin = nn.Sequential(*(nn.Linear(64, 64) for _ in range(4))).to("cuda", dtype)
    twin.load_state_dict(module.state_dict())
    twin(batch_BD).square().sum().backward()
    own = torch.cat([each.grad.float().flatten() for each in twin.parameters() if each.grad is not None])
    assert torch.allclose(2 * found, own, rtol=1e-5, atol=1e-6)
    assert both.greatest(3) == 3


@pytest.mark.parametrize("machine", ["gpu.yaml", "gpus.yaml"])
def test_the_launchers_files_for_gpus_start_a_recipe_there(tmp_path: Path, machine: str) -> None:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", f"recipes/machines/{machine}"]
    command += ["--num_processes", "1", "recipes/numbers_es.py", "--rows", "400", "--test-rows", "50"]
    command += ["--out", str(tmp_path / "out")]
    where = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    where["FINETUNE_CACHE"] = str(tmp_path / "cache")
    done = subprocess.run(command, cwd=ROOT, env=where, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (tmp_path / "out").rglob("result.json")
    result = json.loads(path.read_text())
    assert (result["status"], result["precision"]) == ("done", "bfloat16")
    assert result["environment"]["device"] == torch.cuda.get_device_name()
