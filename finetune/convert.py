"""Foreign weight files → safetensors that transformers loads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from tokenizers.processors import TemplateProcessing
from transformers import Dinov2Config, Dinov2Model, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from finetune.errors import InputError
from finetune.gguf_file import GgufFile
from finetune.progress import Silent

if TYPE_CHECKING:
    from onnx import GraphProto
    from transformers import PreTrainedModel

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
# Part of a tensor's name in the GGUF file → in transformers 5.
LLAMA = {
    "token_embd": "embed_tokens",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "output_norm": "norm",
}
CONTROL = 3  # GGUF's kind of a token that stands for no text
# Part of a module's path in the ONNX file → in transformers 5.
RENAMED = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}


def gguf_smollm2(raw: Path, out: Path, progress: Silent) -> None:
    """SmolLM2 from a GGUF file: 4-bit weights dequantised to fp32, so that every one of them can be trained."""
    file = GgufFile(next(raw.glob("*.gguf")))
    model, tokenizer = _smollm2_model(file, progress), _smollm2_tokenizer(file)
    with _unnoticed():
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)


def _smollm2_model(file: GgufFile, progress: Silent) -> PreTrainedModel:
    with torch.device("meta"):  # nothing is drawn that is replaced at once
        model = LlamaForCausalLM(_smollm2_config(file.settings))
    weights = dict(_counted(_smollm2_weights(file, model.config), len(file.tensors), progress))
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    return model


def _smollm2_config(said: Mapping[str, Any]) -> LlamaConfig:
    end = said["tokenizer.ggml.eos_token_id"]
    told: dict[str, Any] = {
        "_model_name_or_path": said["general.name"],
        "unk_token_id": said["tokenizer.ggml.unknown_token_id"],
    }
    return LlamaConfig(
        **told,  # no fields of a Llama's, only kept
        vocab_size=said["llama.vocab_size"],
        hidden_size=said["llama.embedding_length"],
        intermediate_size=said["llama.feed_forward_length"],
        num_hidden_layers=said["llama.block_count"],
        num_attention_heads=said["llama.attention.head_count"],
        num_key_value_heads=said["llama.attention.head_count_kv"],
        head_dim=said["llama.rope.dimension_count"],
        max_position_embeddings=said["llama.context_length"],
        rms_norm_eps=said["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_theta": said["llama.rope.freq_base"], "rope_type": "default"},
        bos_token_id=said["tokenizer.ggml.bos_token_id"],
        eos_token_id=end,
        pad_token_id=end,  # padding is masked, so it is never read as an end
        tie_word_embeddings=True,
        dtype=torch.float32,
    )


def _smollm2_weights(file: GgufFile, config: LlamaConfig) -> Iterator[tuple[str, torch.Tensor]]:
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name in file.tensors:
        *place, part, kind = name.split(".")
        layer = f"layers.{place[1]}." if place else ""
        module = LLAMA[part]
        array = file.tensor(name)
        if (count := heads.get(module.rpartition(".")[2])) is not None:
            array = _halves(array, count)
        yield f"model.{layer}{module}.{kind}", torch.tensor(array)


def _halves(array: np.ndarray, heads: int) -> np.ndarray:
    """GGUF has the two coordinates that a rotary position turns side by side, transformers half a head apart."""
    return array.reshape(heads, -1, 2, array.shape[1]).swapaxes(1, 2).reshape(array.shape)


def _smollm2_tokenizer(file: GgufFile) -> PreTrainedTokenizerFast:
    said = {name.removeprefix("tokenizer.ggml."): value for name, value in file.settings.items()}
    merges = [tuple(merge.split(" ")) for merge in said["merges"]]
    vocabulary = {token: number for number, token in enumerate(said["tokens"])}
    inside = Tokenizer(BPE(vocabulary, merges, continuing_subword_prefix="", end_of_word_suffix=""))
    # a digit is a token of its own, which no reader of GGUF files knows of this model
    inside.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    inside.decoder = decoders.ByteLevel()
    inside.post_processor = TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=[])
    inside.add_special_tokens(
        [t for t, kind in zip(said["tokens"], said["token_type"], strict=True) if kind == CONTROL]
    )
    begin, end, unknown = (said["tokens"][said[f"{name}_token_id"]] for name in ("bos", "eos", "unknown"))
    return PreTrainedTokenizerFast(
        tokenizer_object=inside,
        bos_token=begin,
        eos_token=end,
        unk_token=unknown,
        pad_token=end,
        model_max_length=said["llama.context_length"],
        chat_template=said["tokenizer.chat_template"],
        # transformers marks a tokenizer that it read by itself; without the marks, runs from before would be others
        is_local=True,
        local_files_only=False,
    )


def onnx_dinov2(raw: Path, out: Path, progress: Silent) -> None:
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
    model.load_state_dict(dict(_counted(_dinov2_weights(graph), len(model.state_dict()), progress)))
    with _unnoticed():
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


def _counted(
    weights: Iterable[tuple[str, torch.Tensor]], total: int, progress: Silent
) -> Iterator[tuple[str, torch.Tensor]]:
    progress.start("convert", total, "tensor")
    for each in weights:
        yield each
        progress.advance(1)
    progress.end()


@contextmanager
def _unnoticed() -> Iterator[None]:
    """transformers' own bars on a terminal only, and the caller's random numbers stay in place. Not around our bars."""
    with nullcontext() if sys.stderr.isatty() else redirect_stderr(StringIO()), torch.random.fork_rng(devices=[]):
        yield
