"""The contract of every method, on every family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from finetune import Budget, LoRA, Recipe, axes, evaluate, execute, methods
from finetune.anatomy import ANATOMY
from finetune.execute import run
from finetune.keeper import Keeper
from finetune.methods import Method, Trainee
from finetune.outputs import read_lines
from finetune.precision import Format
from finetune.predict import load
from finetune.session import session

METHODS = sorted(axes.names(methods))
MATRIX = [(method, family) for method in METHODS for family in tiny.CONFIGS]


def make(method: str) -> Method:
    return axes.find(methods, method, Method)()


def prepared(recipe: Recipe) -> tuple[Trainee, Recipe]:
    torch.manual_seed(0)
    return recipe.method.trainee(session(recipe).material()), recipe


def test_there_are_methods_to_hold_to_the_contract() -> None:
    assert {"frozen", "lora", "full", "last_layers"} <= set(METHODS)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("method", "family"), MATRIX)
def test_only_what_requires_a_gradient_moves_and_all_of_it_does(
    toy: Callable[[str], Recipe], method: str, family: str, precision: Format
) -> None:
    trainee, recipe = prepared(replace(toy(family), method=make(method), precision=precision))
    before = {name: tensor.detach().clone() for name, tensor in trainee.module.named_parameters()}
    train(trainee, recipe)
    after = dict(trainee.module.named_parameters())  # in full precision: one small update rounds to none
    moved = {name for name in after if not torch.equal(after[name].float(), before[name].float())}
    trained = {name for name, tensor in trainee.module.named_parameters() if tensor.requires_grad}
    assert moved <= trained
    # a key's bias shifts all scores of a row alike, which softmax does not see; unused positions get no gradient
    still = {name for name in trained - moved if not ("bias" in name or "position" in name or "token_type" in name)}
    assert not still


@pytest.mark.parametrize(("method", "family"), MATRIX)
def test_frozen_modules_are_in_eval_mode_during_an_update(
    toy: Callable[[str], Recipe], method: str, family: str
) -> None:
    trainee, recipe = prepared(replace(toy(family), method=make(method)))
    trainee.module.eval()
    for part in recipe.method.training(trainee.module):
        part.train()
    for module in trainee.module.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            assert not module.training


@pytest.mark.parametrize("family", tiny.CONFIGS)
@pytest.mark.parametrize("roles", [("query", "value"), ("mlp",), ("query", "key", "value", "output", "mlp")])
def test_lora_adapts_the_modules_of_its_roles_and_no_others(
    toy: Callable[[str], Recipe], family: str, roles: tuple[str, ...]
) -> None:
    trainee, _ = prepared(replace(toy(family), method=LoRA(targets=roles)))
    adapted = [name for name, _ in trainee.module.named_modules() if name.endswith("lora_A.default")]
    parts = [getattr(ANATOMY[family], role) for role in roles]
    paths = {path for part in parts for path in ((part,) if isinstance(part, str) else part)}
    assert len(adapted) == 2 * len(paths)  # two blocks
    assert all(any(name.endswith(f"{path}.lora_A.default") for path in paths) for name in adapted)


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_a_fresh_adapter_changes_no_logit(toy: Callable[[str], Recipe], family: str) -> None:
    recipe = replace(toy(family), method=make("lora"))
    material = session(recipe).material()
    torch.manual_seed(0)
    plain = material.build(material.weights)[0].eval()
    torch.manual_seed(0)
    adapted = recipe.method.trainee(material).module.eval()
    batch = material.examples["train"].batch(np.arange(8))
    with torch.no_grad():
        assert torch.equal(plain(**batch.inputs).logits, adapted(**batch.inputs).logits)


@pytest.mark.parametrize(("method", "family"), MATRIX)
def test_what_is_saved_and_loaded_predicts_equal_logits(
    toy: Callable[[str], Recipe], tmp_path: Path, method: str, family: str
) -> None:
    recipe = replace(toy(family), method=make(method))
    run(recipe, out=tmp_path)
    here = session(recipe)
    folder = here.folder(tmp_path).path
    again = evaluate.predict(load(folder).module, here.examples()["test"], here.accelerator, here.progress)
    stored = np.array([line["logits"] for line in read_lines(folder / "predictions.jsonl")])
    np.testing.assert_allclose(again.responses, stored, atol=6e-5)  # they are stored with four decimals


def train(trainee: Trainee, recipe: Recipe) -> None:
    recipe = replace(recipe, budget=Budget(epochs=2, batch_size=8))
    done = execute.train(session(recipe), trainee, Keeper())
    done.unround()
