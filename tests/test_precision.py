"""The number format: fast where it may be, exact where it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from finetune import Frozen, Full, InputError, LastLayers, Local, LoRA, Recipe, evaluate, outputs, precision, run
from finetune.predict import load
from finetune.session import session

CPU = torch.device("cpu")


def test_auto_is_bfloat16_only_where_the_cpu_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for capable, expected in (
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx2": True}, torch.float32),
        ({}, torch.float32),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capable: found)
        assert precision.resolve("auto", CPU) == expected
    assert precision.resolve("float32", CPU) == torch.float32
    with pytest.raises(InputError, match="precision must be auto, float32 or bfloat16, got 'half'"):
        precision.resolve("half", CPU)  # pyright: ignore[reportArgumentType]


def test_rotary_frequencies_are_not_rounded(toy: Callable[[str], Recipe]) -> None:
    material = session(toy("llama")).material()
    model, _ = material.build(material.weights)
    exact = model.model.rotary_emb.inv_freq.clone()
    precision.cast(model, CPU, torch.bfloat16)
    assert torch.equal(model.model.rotary_emb.inv_freq, exact)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("family", ["bert", "llama", "dinov2"])
@pytest.mark.parametrize("method", [Frozen(), LoRA(), Full()])
def test_bfloat16_trains_every_family_and_what_it_saves_predicts_the_same(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str, method: Frozen | LoRA | Full
) -> None:
    recipe = replace(toy(family), precision="bfloat16", method=method)
    assert run(recipe, out=tmp_path).status == "done"
    here = session(recipe)
    folder = here.folder(tmp_path).path
    stored = np.array([line["logits"] for line in outputs.read_lines(folder / "predictions.jsonl")])
    again = evaluate.predict(load(folder).module, here.examples()["test"], here.accelerator, here.progress)
    np.testing.assert_allclose(again.responses, stored, atol=6e-5)  # they are stored with four decimals


def test_what_is_saved_is_the_float32_master(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), precision="bfloat16", method=Full())
    run(recipe, out=tmp_path)
    saved = load_file(session(recipe).folder(tmp_path).path / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    partial = replace(recipe, method=LastLayers(layers=1))
    run(partial, out=tmp_path)
    left = session(partial).folder(tmp_path).path / "model" / "model.safetensors"
    assert isinstance(partial.checkpoint, Local)
    base = load_file(Path(partial.checkpoint.folder) / "model.safetensors")
    frozen = "encoder.layer.0.output.dense.weight"
    assert torch.equal(load_file(left)[f"bert.{frozen}"], base[frozen])  # not its rounded copy
    weight = saved["classifier.weight"]
    assert not torch.equal(weight, weight.to(torch.bfloat16).float())
