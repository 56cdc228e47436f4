"""What a run must keep: each promise broken on purpose is named, and a run that breaks one is shown as failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from finetune import AdamW, Frozen, Full, InputError, LoRA, MultiHead, Recipe, integrity, load, run
from finetune.attention.cores.uniform import Uniform
from finetune.integrity import Sample
from finetune.methods import Method
from finetune.report.tables import table


def small() -> nn.Sequential:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    module[0].requires_grad_(False)
    return module


def moved(module: nn.Sequential, *names: str) -> nn.Sequential:
    with torch.no_grad():
        for name in names:
            module.get_parameter(name).add_(1e-6)
    return module


def test_a_training_that_moves_what_is_trained_and_nothing_else_breaks_nothing() -> None:
    module = small()
    before = integrity.sums(module)
    assert integrity.broken(moved(module, "1.weight", "1.bias"), before) == []


def test_a_frozen_tensor_that_moved_a_little_is_named() -> None:
    module = small()
    before = integrity.sums(module)
    assert integrity.broken(moved(module, "0.bias", "1.weight", "1.bias"), before) == [
        "0.bias moved and should be frozen"
    ]


def test_a_trained_tensor_that_stayed_is_named_unless_it_is_excused() -> None:
    module = small()
    before = integrity.sums(module)
    moved(module, "1.weight")
    assert integrity.broken(module, before) == ["1.bias should have been trained and did not move"]
    assert integrity.broken(module, before, [module.get_parameter("1.bias")]) == []


def test_the_format_of_what_is_trained_is_no_move() -> None:
    module = small().bfloat16()
    before = integrity.sums(module)
    module[1].float()
    assert integrity.sums(module) == before


def test_of_many_tensors_the_first_are_named_and_the_rest_counted() -> None:
    module = nn.ParameterList([torch.zeros(1) for _ in range(5)])
    (said,) = integrity.broken(module, integrity.sums(module))
    assert said == "0, 1, 2 and 2 more should have been trained and did not move"


def test_a_test_id_that_was_scored_twice_is_counted() -> None:
    assert integrity.repeated(["a", "b"]) == []
    assert integrity.repeated(["a", "b", "a"]) == ["1 of 3 test ids were scored more than once"]


@pytest.mark.parametrize("method", [Frozen(), LoRA(), Full()])
@pytest.mark.parametrize("family", ["bert", "gpt2", "vit"])
def test_every_method_keeps_what_a_run_must_keep(
    toy: Callable[[str], Recipe], tmp_path: Path, method: Method, family: str
) -> None:
    result = run(replace(toy(family), method=method), out=tmp_path)
    assert (result.status, result.broken) == ("done", ())


def test_an_attention_that_has_no_use_for_queries_may_leave_them_where_they_are(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy("bert"), attention=MultiHead(core=Uniform()), method=LoRA())
    assert run(recipe, out=tmp_path).broken == ()


@dataclass(frozen=True, kw_only=True)
class Forgetful(Full):
    """Saves another model than it trained."""

    def save(self, module: nn.Module, start: object, folder: Path) -> Path:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(0.5)
        return super().save(module, start, folder)  # pyright: ignore[reportArgumentType]


def test_a_run_whose_saved_model_says_something_else_has_failed_and_is_shown_so(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy("bert"), method=Forgetful())
    result = run(recipe, out=tmp_path)
    assert result.status == "failed"
    assert result.broken is not None
    assert "saved and loaded again, its logits are up to" in result.broken[-1]
    shown = table([result])
    assert "failed (1)" in shown.rows[0]
    assert any("failed with seed 0: " in note for note in shown.notes)
    assert result.folder is not None
    with pytest.raises(InputError, match="holds a run that failed: "):
        load(result.folder, recipe=recipe)


def test_what_writes_is_held_to_the_logits_of_the_right_texts(
    toy_pairs: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = toy_pairs("marian")
    assert run(recipe, out=tmp_path).broken == ()
    lost = run(replace(recipe, method=Forgetful()), out=tmp_path).broken
    assert lost is not None
    assert "saved and loaded again, its logits are up to" in lost[-1]


@dataclass(frozen=True, kw_only=True)
class Doubled(LoRA):
    """Merges more than there is."""

    @property
    def merge(self) -> Callable[[nn.Module], nn.Module]:
        def twice(module: nn.Module) -> nn.Module:
            for name, parameter in module.named_parameters():
                if "lora_B" in name:
                    parameter.mul_(2.0)
            return module.merge_and_unload()  # pyright: ignore[reportCallIssue]

        return twice


def test_a_run_that_says_something_else_once_it_is_merged_has_failed(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    method = Doubled(optim=AdamW(learning_rate=0.05))
    result = run(replace(toy("bert"), method=method), out=tmp_path)
    assert result.status == "failed"
    assert result.broken is not None
    assert result.broken[-1].startswith("merged into one, its logits are up to")


def test_logits_of_another_model_are_apart(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = toy("bert")
    predictor = load(run(recipe, out=tmp_path).folder or "")
    examples = predictor.encode(["a cat", "a dog and a horse"])
    other = Sample(indices=np.arange(2), logits=np.full((2, len(predictor.labels)), 9.0, dtype=np.float32))
    (said,) = integrity.apart(predictor.module, examples, other, torch.device("cpu"))
    assert said.startswith("saved and loaded again, its logits are up to 9")
