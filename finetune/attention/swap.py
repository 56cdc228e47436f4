"""Ours in place of a pretrained model's self-attention, with the pretrained projections.

The projection modules themselves move over, under their own names: a state dict has the same keys, LoRA finds its
targets, and what is saved loads without us. Only what happens between them is new.

B batch, T queries, S keys, E model width, H heads of queries, K heads of keys and values, D head width.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finetune import axes
from finetune.anatomy import Anatomy, blocks, with_blocks
from finetune.attention import cores, interface
from finetune.attention.cores import Core
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.masks import Mask
from finetune.attention.multihead import Attention, Cache, MultiHeadAttention, placed, split
from finetune.attention.positions.rotary import turn
from finetune.errors import InputError, one_of
from finetune.parts import Part

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STOCK = "stock"
FILE = "attention.safetensors"


@dataclass(frozen=True, kw_only=True)
class MultiHead(Part):
    """The attention of a recipe: our multi-head attention in every block, around this core."""

    where: ClassVar[str] = "attention"

    core: Core = ScaledDotProduct()

    @property
    def name(self) -> str:
        """On the command line and in tables: `multihead`, the file its core is written in, or a class of yours."""
        if self == MultiHead():
            return "multihead"
        package, _, file = type(self.core).__module__.rpartition(".")
        return file if package == cores.__name__ else type(self.core).__name__


def names() -> list[str]:
    """What attention can be called on the command line."""
    return sorted({STOCK, "multihead", *axes.names(cores)} - {"scaled_dot_product"})


def named(name: str) -> MultiHead | None:
    """The attention of that name; None: the checkpoint's own.

    Raises:
        InputError: there is none of that name.
    """
    if name not in names():
        raise one_of("attention", name, names())
    if name in (STOCK, "multihead"):
        return None if name == STOCK else MultiHead()
    return MultiHead(core=axes.find(cores, name, Core)())


def swap(model: PreTrainedModel, attention: MultiHead) -> PreTrainedModel:
    """Put ours into every block, in place; nothing is to be done where it is ours from the start.

    Raises:
        InputError: the architecture is not known, or the core cannot do what it needs.
    """
    interface.register()
    body = with_blocks(model)
    if any(isinstance(block.get_submodule(body.attention), MultiHeadAttention) for block in blocks(model)):
        if attention != MultiHead():
            raise InputError(
                f"this network was built around an attention of ours: set checkpoint.system.core, not {attention.where}"
            )
        return model
    if body.cross:
        raise InputError(
            f"a {model.config.model_type} attends in three places, and no core is made for them: set no attention"
        )
    for layer, block in enumerate(blocks(model)):
        stock = block.get_submodule(body.attention)
        if isinstance(stock, Transplanted):
            raise InputError("this model's attention has been swapped already")
        block.set_submodule(body.attention, Transplanted(stock, body, attention.core, model.config, layer))
    _own_config(model)
    model.set_attn_implementation(interface.SWAPPED)
    return model


def _own_config(model: PreTrainedModel) -> None:
    """Models made from one config share it, and the others must not be told that their attention is swapped."""
    shared, own = model.config, copy.deepcopy(model.config)
    for module in model.modules():
        if getattr(module, "config", None) is shared:
            module.config = own  # pyright: ignore


def transplants(model: nn.Module) -> list[Transplanted]:
    """The swapped modules of a model, first block to last."""
    return [module for module in model.modules() if isinstance(module, Transplanted)]


class Transplanted(Attention):
    """Our attention around the projections of a stock module, called as that module was."""

    def __init__(self, stock: nn.Module, body: Anatomy, core: Core, config: Any, layer: int) -> None:
        heads = config.num_attention_heads
        output = _output_width(stock, body)
        head_width = getattr(config, "head_dim", None) or output // heads
        super().__init__(core, config.hidden_size, heads, head_width, _share(getattr(stock, body.dropout)), layer)
        self.head_width, self.body, self.scale = head_width, body, float(stock.scaling)  # pyright: ignore
        self.causal = bool(getattr(stock, "is_causal", False))
        for name, child in stock.named_children():
            self.add_module(name, child)
        self.train(stock.training)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Mask | Tensor | None = None,
        past_key_values: Cache | None = None,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        layer_past: Cache | None = None,
        encoder_hidden_states: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, Tensor | None]:
        if encoder_hidden_states is not None:
            raise InputError("a swapped attention is self-attention; cross-attention of a checkpoint is not supported")
        cache = layer_past if past_key_values is None else past_key_values  # GPT-NeoX has a name of its own for it
        seen = 0 if cache is None else cache.get_seq_length(self.layer)
        q_BHTD, k_BKSD, v_BKSD = self.project(hidden_states, seen)
        if position_embeddings is not None:
            cos, sin = (each.unsqueeze(1) for each in position_embeddings)
            q_BHTD, k_BKSD = turn(q_BHTD, cos, sin), turn(k_BKSD, cos, sin)
        if self.core.position is not None:
            q_BHTD, k_BKSD = (self.core.position.rotate(each, seen) for each in (q_BHTD, k_BKSD))
        if cache is not None:
            k_BKSD, v_BKSD = cache.update(k_BKSD, v_BKSD, self.layer)
        mask = interface.given(attention_mask, self.causal, k_BKSD.shape[2] - q_BHTD.shape[2])
        context_BTE, weights_BHTS = self.attend(q_BHTD, k_BKSD, v_BKSD, mask)
        return self.merge(context_BTE), weights_BHTS

    def project(self, x_BTE: Tensor, seen: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values by the checkpoint's own projections, whichever way it keeps them."""
        inputs_BTE = placed(self.core, x_BTE, seen, dict(self.learned))
        query, key, value = (self.get_submodule(self.body.within(path)) for path in self.body.projections)
        if self.body.fused is None:
            q, k, v = (split(each, self.head_width) for each in (query(inputs_BTE), key(inputs_BTE), value(x_BTE)))
        else:
            q, k, v = self._parts(query(inputs_BTE))
            if inputs_BTE is not x_BTE:  # positions are for queries and keys
                _, _, v = self._parts(value(x_BTE))
        if hasattr(self, "q_norm"):  # Qwen 3
            q, k = self.get_submodule("q_norm")(q), self.get_submodule("k_norm")(k)
        return q, k, v

    def _parts(self, made: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the one layer that makes them all."""
        if self.body.fused == "thirds":  # all queries, then all keys, then all values
            q, k, v = (split(each, self.head_width) for each in made.chunk(3, dim=-1))
        else:  # query, key and value of the first head, then of the second, …
            q, k, v = split(made, 3 * self.head_width).chunk(3, dim=-1)
        return q, k, v

    def merge(self, context_BTE: Tensor) -> Tensor:
        """Through the checkpoint's output projection, where that is part of its attention module."""
        path = self.body.within(self.body.output)
        if not path:
            return context_BTE
        output_BTE = self.get_submodule(path)(context_BTE)
        return self.get_submodule("resid_dropout")(output_BTE) if hasattr(self, "resid_dropout") else output_BTE


def save_learned(model: nn.Module, folder: Path) -> None:
    """Write what the cores have learned beside a saved model; nothing where they learn nothing."""
    learned = {
        f"{layer}.{name}": tensor.detach().float().cpu().contiguous()
        for layer, module in enumerate(transplants(model))
        for name, tensor in module.learned.items()
    }
    if learned:
        save_file(learned, folder / FILE)


def load_learned(model: nn.Module, folder: Path) -> None:
    """Put back what `save_learned` wrote, if it wrote anything."""
    if (folder / FILE).is_file():
        stored = load_file(folder / FILE)
        for layer, module in enumerate(transplants(model)):
            for name, tensor in module.learned.items():
                tensor.data.copy_(stored[f"{layer}.{name}"])


def _share(dropout: Any) -> float:
    return float(dropout.p if isinstance(dropout, nn.Dropout) else dropout)


def _output_width(stock: nn.Module, body: Anatomy) -> int:
    """H · D: how wide the heads' contexts are side by side."""
    weight = stock.get_submodule(body.within(body.query)).weight
    assert isinstance(weight, Tensor)
    width = weight.shape[1 if body.transposed else 0]
    return width if body.fused is None else width // 3
