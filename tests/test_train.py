"""The loop: what may change how a model is trained, and what must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from finetune import AdamW, Budget, Full, LoRA, Recipe, outputs
from finetune.execute import run
from finetune.masters import Masters
from finetune.optim import AdamW as Optim
from finetune.outputs import read_lines
from finetune.predict import load
from finetune.session import session


def trained(recipe: Recipe, out: Path) -> dict[str, torch.Tensor]:
    folder = run(recipe, out=out).folder
    assert folder is not None
    # peft keeps the head that it replaced beside the trained one
    return {name: tensor for name, tensor in load(folder).module.named_parameters() if "original_module" not in name}


def without_dropout(recipe: Recipe) -> Recipe:
    """LoRA keeps the backbone in eval mode, so that two ways of cutting a batch can be compared exactly."""
    return replace(recipe, method=LoRA(optim=AdamW(learning_rate=1e-3), targets=("query", "value", "mlp")))


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[name] - other[name]).detach().abs().max()) for name in one)


def test_two_hundred_micro_batches_lose_no_gradient_in_bfloat16() -> None:
    module = torch.nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    masters = Masters(Optim(learning_rate=1e-4).groups(module), Optim(learning_rate=1e-4).build)
    for _ in range(1000):
        module.weight.grad = torch.ones_like(module.weight)
        masters.collect()
    assert (
        masters.step(clip_norm=1e9, factor=1.0) == 1000.0
    )  # the norm of the gradient; bfloat16 alone stops counting at 256


@pytest.mark.parametrize("micro", [1, 4, 5])
def test_micro_batches_change_no_weight(toy: Callable[[str], Recipe], tmp_path: Path, micro: int) -> None:
    recipe = without_dropout(toy("bert"))
    whole = trained(recipe, tmp_path / "whole")
    pieces = trained(replace(recipe, budget=replace(recipe.budget, micro_batch=micro)), tmp_path / "pieces")
    assert difference(whole, pieces) < 1e-6


def test_the_same_recipe_twice_gives_the_same_bytes_and_another_seed_other_ones(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = toy("bert")
    first, again = (trained(recipe, tmp_path / name) for name in ("first", "again"))
    assert difference(first, again) == 0.0
    assert difference(first, trained(replace(recipe, seed=1), tmp_path / "other")) > 1e-4


def test_a_run_leaves_the_callers_random_numbers_alone(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(toy("bert"), out=tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_training_learns_the_toy_classes(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), method=Full(optim=AdamW(learning_rate=3e-3)), budget=Budget(epochs=30, batch_size=8))
    result = run(recipe, out=tmp_path)
    assert result.scores["accuracy"].value > 0.8  # chance is a third
    curve = read_lines(session(recipe).folder(tmp_path).path / "curve.jsonl")
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    assert curve[-1]["step"] == result.updates == 30 * -(-result.rows["train"] // 8)


def test_patience_stops_early_and_keeps_the_best_epoch(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(
        toy("bert"),
        method=Full(optim=AdamW(learning_rate=3e-3)),
        budget=Budget(epochs=40, batch_size=8, patience=2),
    )
    result = run(recipe, out=tmp_path)
    curve = read_lines(session(recipe).folder(tmp_path).path / "curve.jsonl")
    scores = [line["validation"] for line in curve if "validation" in line]
    assert result.epochs == len(scores) < 40
    assert scores.index(max(scores)) == len(scores) - 3
    assert result.validation["accuracy"].value == pytest.approx(max(scores))


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_a_run_that_diverges_says_so_and_has_no_score(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), method=Full(optim=AdamW(learning_rate=1e30)), budget=Budget(epochs=20, batch_size=4))
    for budget in (recipe.budget, Budget(epochs=20, batch_size=54, patience=2)):  # a step an epoch: stops before ten
        diverged = replace(recipe, budget=budget)
        result = run(diverged, out=tmp_path)
        assert result.status == "diverged"
        assert result.scores == {}
        folder = session(diverged).folder(tmp_path).path
        for name in ("result.json", "curve.jsonl"):
            assert "NaN" not in (folder / name).read_text()
        assert outputs.read_lines(folder / "curve.jsonl")[-1]["loss"] is None


def test_the_schedule_rises_over_the_warm_up_and_ends_near_zero() -> None:
    optim = Optim(learning_rate=1.0, warmup=0.1, decay="linear")
    factors = [optim.factor(step, 100) for step in range(100)]
    assert factors[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert max(factors) == 1.0
    assert factors[-1] == pytest.approx(1 / 90)
    cosine = Optim(learning_rate=1.0, warmup=0.0, decay="cosine")
    assert cosine.factor(50, 100) == pytest.approx(0.5)


def test_a_thousand_small_updates_are_not_lost_in_bfloat16() -> None:
    module = torch.nn.Linear(4, 4, bias=False, dtype=torch.bfloat16)
    torch.nn.init.ones_(module.weight)
    optim = Optim(learning_rate=1e-4, weight_decay=0.0)
    masters = Masters(optim.groups(module), optim.build)
    for _ in range(1000):
        module.weight.grad = torch.ones_like(module.weight)
        masters.step(clip_norm=1e9, factor=1.0)
    # one update of 1e-4 is below what bfloat16 can add to 1.0, where neighbours are 4e-3 apart
    assert module.weight.detach().float().mean() == pytest.approx(0.9, abs=4e-3)
