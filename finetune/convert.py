"""Foreign weight files → safetensors that transformers loads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, Dinov2Config, Dinov2Model, GgufConfig

from finetune.errors import InputError

if TYPE_CHECKING:
    from onnx import GraphProto
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

# DINOv2's own preprocessing; torchvision or Pillow does it, whichever AutoImageProcessor finds.
DINOV2_IMAGES = {
    "image_processor_type": "BitImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,  # bicubic
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
# Part of a module's path in the ONNX file → in transformers 5.
RENAMED = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}


def gguf_smollm2(raw: Path, out: Path) -> None:
    """SmolLM2 from a GGUF file: 4-bit weights dequantised to fp32, so that every one of them can be trained."""
    file = next(raw.glob("*.gguf"))
    with _unnoticed():
        model, tokenizer = _smollm2_model(file), _smollm2_tokenizer(file)
        # There is no padding token. The end token serves: padding is masked, so it is never read as an end.
        tokenizer.pad_token = tokenizer.eos_token
        model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.eos_token_id
        tokenizer.model_max_length = model.config.max_position_embeddings
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)


def _smollm2_model(file: Path) -> PreTrainedModel:
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
        trust_remote_code=False,
        output_loading_info=True,
    )
    model, report = loaded
    if report["missing_keys"]:  # transformers would only warn, and leave them random
        raise InputError(f"{file.name} lacks weights: {', '.join(sorted(report['missing_keys']))}")
    return model


def _smollm2_tokenizer(file: Path) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
    # The GGUF reader drops the model's rule that a digit is a token of its own, and then "\n\n2" splits differently.
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    # it would be saved whether the hub was to be asked (HF_HUB_OFFLINE), and the checkpoint be another one for it
    tokenizer.init_kwargs["local_files_only"] = False
    return tokenizer


def onnx_dinov2(raw: Path, out: Path) -> None:
    """The DINOv2-small backbone inside an ONNX graph, by the names that its exporter left in it."""
    import onnx

    graph = onnx.load(next(raw.glob("*.onnx"))).graph
    # No mask token was exported, and one that nothing uses would be a parameter without a gradient.
    config = Dinov2Config(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=518,
        patch_size=14,
        use_mask_token=False,
    )
    with _unnoticed():
        model = Dinov2Model(config)
        model.load_state_dict(dict(_dinov2_weights(graph)))
        model.save_pretrained(out)
    (out / "preprocessor_config.json").write_text(json.dumps(DINOV2_IMAGES, indent=2) + "\n", encoding="utf-8")


def _dinov2_weights(graph: GraphProto) -> Iterator[tuple[str, torch.Tensor]]:
    from onnx import numpy_helper

    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    for name, array in arrays.items():
        if name.startswith("backbone."):
            yield _module(name), torch.tensor(array)
    for node in graph.node:
        # The weight of a matrix product is an unnamed constant, stored transposed; its node still names the module.
        if node.op_type == "MatMul" and node.name.startswith("/backbone/") and node.input[1] in arrays:
            name = node.name.removeprefix("/").removesuffix("/MatMul").replace("/", ".")
            yield f"{_module(name)}.weight", torch.tensor(arrays[node.input[1]].T)
    yield "embeddings.position_embeddings", torch.tensor(_positions(arrays))


def _positions(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The exporter folded the positions into two unnamed constants: the CLS token's, and the 37 × 37 patches'."""
    parts = [
        [array for name, array in arrays.items() if name.startswith("onnx::") and array.shape == (1, count, 384)]
        for count in (1, 37 * 37)
    ]
    if [len(part) for part in parts] != [1, 1]:
        raise InputError("the ONNX file does not hold exactly one position embedding; it is not the pinned one")
    return np.concatenate([parts[0][0], parts[1][0]], axis=1)


def _module(path: str) -> str:
    path = path.removeprefix("backbone.")
    for old, new in RENAMED.items():
        path = path.replace(old, new)
    return path


@contextmanager
def _unnoticed() -> Iterator[None]:
    """transformers' own bars on a terminal only, and the caller's random numbers stay in place."""
    with nullcontext() if sys.stderr.isatty() else redirect_stderr(StringIO()), torch.random.fork_rng(devices=[]):
        yield
