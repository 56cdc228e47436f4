"""Where things are inside a pretrained model: one entry per architecture, names as in transformers 5.

`blocks`, `norm` and `positions` are paths inside the backbone, the others inside a block. Where one layer makes query,
key and value together (GPT-2, GPT-NeoX), the three names are equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

from torch import nn

from finetune.errors import InputError, one_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROLES = ("query", "key", "value", "output", "mlp")


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    blocks: str
    attention: str  # the module that is swapped
    query: str
    key: str
    value: str
    output: str
    mlp: tuple[str, ...]
    positions: str  # the learned table with a row for each, or the module that knows their angles
    reads: Literal["text", "image"] = "text"
    causal: bool = False  # a token sees those before it: what comes next can be asked of it
    norm: str | None = None  # the norm after the last block
    cross: str | None = None  # a decoder's other attention, with modules of the same names
    encoder: str | None = None  # the blocks of the encoder before it, which are as its own but for that
    pooler: str | None = None  # part of the head where a checkpoint comes without it
    any_size: bool = False  # of images: its positions are interpolated to whatever number of patches there are
    pretraining: tuple[str, ...] = ()  # parameters of the backbone that never train: no gradient is to reach them
    fused: Literal["thirds", "heads"] | None = None  # how the one layer's outputs are laid out
    dropout: str = "attention_dropout"  # of the attention's weights: what the attention module calls it
    transposed: bool = False  # projections are GPT-2's Conv1D, which stores its weight as (in, out)

    @property
    def projections(self) -> tuple[str, str, str]:
        return self.query, self.key, self.value

    def within(self, path: str) -> str:
        """A path inside the attention module; empty for one that lies outside."""
        prefix = f"{self.attention}."
        return path.removeprefix(prefix) if path.startswith(prefix) else ""

    def pattern(self, roles: tuple[str, ...]) -> str:
        """A regular expression of the full names of the modules that play these roles.

        Of the last parts alone it would not do: BERT's `output.dense` is in its feed-forward and in its attention.
        """
        found = [getattr(self, role) for role in roles]
        paths = list(dict.fromkeys(path for part in found for path in ((part,) if isinstance(part, str) else part)))
        paths += [f"{self.cross}.{within}" for path in paths if self.cross and (within := self.within(path))]
        stacks = "|".join(re.escape(each) for each in (self.encoder, self.blocks) if each)
        return rf"(.*\.)?({stacks})\.\d+\.({'|'.join(map(re.escape, paths))})"


_BERT = Anatomy(
    blocks="encoder.layer",
    attention="attention.self",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    output="attention.output.dense",
    mlp=("intermediate.dense", "output.dense"),
    positions="embeddings.position_embeddings",
    pooler="pooler",
    dropout="dropout",
)
_LLAMA = Anatomy(
    blocks="layers",
    attention="self_attn",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    output="self_attn.o_proj",
    mlp=("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    positions="rotary_emb",
    norm="norm",
    causal=True,
)
_VIT = Anatomy(
    blocks="layers",
    attention="attention",
    query="attention.q_proj",
    key="attention.k_proj",
    value="attention.v_proj",
    output="attention.o_proj",
    mlp=("mlp.fc1", "mlp.fc2"),
    reads="image",
    positions="embeddings.position_embeddings",
    norm="layernorm",
)
_DINOV2 = Anatomy(
    blocks="encoder.layer",
    attention="attention",
    query="attention.q_proj",
    key="attention.k_proj",
    value="attention.v_proj",
    output="attention.o_proj",
    mlp=("mlp.fc1", "mlp.fc2"),
    reads="image",
    positions="embeddings.position_embeddings",
    norm="layernorm",
    any_size=True,
    pretraining=("embeddings.mask_token",),
)
_OURS = Anatomy(  # finetune.transformer
    blocks="net.encoder.blocks",
    attention="attention",
    query="attention.query",
    key="attention.key",
    value="attention.value",
    output="attention.output",
    mlp=("feed_forward.inner", "feed_forward.outer"),
    positions="",
    norm="net.encoder.norm",
    dropout="dropout_share",
)
_BLOCKLESS = Anatomy(blocks="", attention="", query="", key="", value="", output="", mlp=(), positions="", norm=None)
ANATOMY: Mapping[str, Anatomy] = {
    "bert": _BERT,
    "roberta": _BERT,
    "electra": _BERT,
    "distilbert": Anatomy(
        blocks="transformer.layer",
        attention="attention",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        output="attention.out_lin",
        mlp=("ffn.lin1", "ffn.lin2"),
        positions="embeddings.position_embeddings",
        dropout="dropout",
    ),
    "gpt2": Anatomy(
        blocks="h",
        attention="attn",
        query="attn.c_attn",
        key="attn.c_attn",
        value="attn.c_attn",
        output="attn.c_proj",
        mlp=("mlp.c_fc", "mlp.c_proj"),
        positions="wpe",
        norm="ln_f",
        causal=True,
        fused="thirds",
        dropout="attn_dropout",
        transposed=True,
    ),
    "gpt_neox": Anatomy(
        blocks="layers",
        attention="attention",
        query="attention.query_key_value",
        key="attention.query_key_value",
        value="attention.query_key_value",
        output="attention.dense",
        mlp=("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
        positions="rotary_emb",
        norm="final_layer_norm",
        causal=True,
        fused="heads",
    ),
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "vit": _VIT,
    "deit": _VIT,
    "dinov2": _DINOV2,
    "finetune-encoder": _OURS,
    "finetune-vit": replace(_OURS, reads="image"),
    "finetune-transformer": replace(
        _OURS, blocks="net.decoder.blocks", norm="net.decoder.norm", encoder="net.encoder.blocks", cross="cross"
    ),
    "finetune-recurrent": _BLOCKLESS,
}


def anatomy(model: PreTrainedModel) -> Anatomy:
    """The entry for a model's architecture."""
    return of_architecture(model.config.model_type)


def with_blocks(model: PreTrainedModel) -> Anatomy:
    """The same, of one that is made of Transformer blocks.

    Raises:
        InputError: it is not.
    """
    body = anatomy(model)
    if not body.blocks:
        raise InputError(
            f"architecture {model.config.model_type!r} has no Transformer blocks: lora, last_layers and another "
            "attention need them, full and scratch do not"
        )
    return body


def of_architecture(kind: str) -> Anatomy:
    """The entry for an architecture by transformers' name of it.

    Raises:
        InputError: there is none; adding it is one entry in this file.
    """
    if kind not in ANATOMY:
        raise one_of("architecture", kind, ANATOMY)
    return ANATOMY[kind]


def backbone(model: PreTrainedModel) -> PreTrainedModel:
    """The model without its head."""
    return cast("PreTrainedModel", model.base_model)


def blocks(model: PreTrainedModel) -> nn.ModuleList:
    """The Transformer blocks, first to last."""
    found = backbone(model).get_submodule(with_blocks(model).blocks)
    assert isinstance(found, nn.ModuleList)
    return found


def norm(model: PreTrainedModel) -> nn.Module:
    """The norm after the last block; where blocks end with their own, a module with nothing in it."""
    path = anatomy(model).norm
    return backbone(model).get_submodule(path) if path else nn.Identity()


def head(model: PreTrainedModel, missing: list[str]) -> tuple[str, ...]:
    """The names of the modules that belong to the task, not to the checkpoint: always trained.

    Args:
        missing: names of parameters that the checkpoint did not hold. A pooler among them joins the head.
    """
    parts = [name for name, child in model.named_children() if next(child.parameters(), None) is not None]
    own = [name for name in parts if name != model.base_model_prefix]
    pooler = f"{model.base_model_prefix}.{anatomy(model).pooler}"
    return (*own, pooler) if any(name.startswith(f"{pooler}.") for name in missing) else tuple(own)
