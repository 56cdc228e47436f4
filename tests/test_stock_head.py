"""What a swap costs before anything has learned from it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from scipy.stats import entropy

from finetune import Frozen, Local, MultiHead, Recipe, run
from finetune.attention.cores.uniform import Uniform
from finetune.methods.stock_head import StockHead, divergence


@pytest.mark.parametrize("family", ["bert", "llama", "dinov2"])
def test_with_the_checkpoints_own_attention_it_is_frozen(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str
) -> None:
    frozen, stock = (run(replace(toy(family), method=method), out=tmp_path) for method in (Frozen(), StockHead()))
    assert {**stock.scores, "divergence": None} == {**frozen.scores, "divergence": None}
    assert stock.scores["divergence"].value == 0.0
    assert stock.validation == frozen.validation


@pytest.fixture
def loud(toy: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Recipe]:
    """A recipe whose checkpoint attends to something: of random weights as small as usual, all scores are near zero."""

    def recipe(family: str) -> Recipe:
        folder = shutil.copytree(checkpoint(family), tmp_path / "loud")
        weights = load_file(folder / "model.safetensors")
        louder = {name: tensor * 20 if tensor.ndim == 2 else tensor for name, tensor in weights.items()}
        save_file(louder, folder / "model.safetensors", metadata={"format": "pt"})
        return replace(toy(family), checkpoint=Local(str(folder)), method=StockHead())

    return recipe


@pytest.mark.parametrize("family", ["bert", "llama", "dinov2"])
def test_an_equal_attention_moves_no_prediction_and_another_does(
    loud: Callable[[str], Recipe], tmp_path: Path, family: str
) -> None:
    recipe = loud(family)
    ours, uniform = (
        run(replace(recipe, attention=attention), out=tmp_path)
        for attention in (MultiHead(), MultiHead(core=Uniform()))
    )
    assert ours.scores["divergence"].value < 1e-6
    assert uniform.scores["divergence"].value > 1e-3
    assert uniform.scores["divergence"].n == uniform.rows["test"]
    assert next(iter(ours.scores)) == "accuracy"


def test_the_head_is_the_one_that_fits_the_checkpoint(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), method=StockHead(), attention=MultiHead(core=Uniform()))
    untouched = replace(recipe, attention=None)
    run(recipe, out=tmp_path)
    run(untouched, out=tmp_path)
    swapped, stock = sorted(tmp_path.glob("*/*/head/head.safetensors"))
    assert swapped.read_bytes() == stock.read_bytes()


def test_the_divergence_is_the_textbook_one() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, 50, 4)) * 3
    shares = [np.exp(each) / np.exp(each).sum(-1, keepdims=True) for each in (before, after)]
    np.testing.assert_allclose(divergence(before, after), entropy(*shares, axis=-1), atol=1e-12)
    assert divergence(np.array([[1000.0, 0.0]]), np.array([[0.0, 1000.0]])) == pytest.approx(1000.0)
