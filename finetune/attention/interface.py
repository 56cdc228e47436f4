"""Where ours meets transformers: the attention and the masks that it looks up by a name in a model's config.

Under `SWAPPED` our own modules get masks of ours; under `STOCK` the checkpoint's modules stay as they are, and what
they compute between their projections is computed by our kernel.

B batch, T queries, S keys, H heads of queries, K heads of keys and values, D head width.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.masks import EVERYTHING, Causal, Dense, Mask, Padding
from finetune.errors import InputError

SWAPPED = "finetune"
STOCK = "finetune_stock"
KERNEL = ScaledDotProduct()


def register() -> None:
    """Tell transformers of both; a second time changes nothing."""
    from transformers import AttentionInterface, AttentionMaskInterface

    for name, attention in ((SWAPPED, _refuse), (STOCK, _compute)):
        AttentionMaskInterface.register(name, _compact)
        AttentionInterface.register(name, attention)


def kernel(device: torch.device) -> str:
    """transformers' name of the fastest code for the attention of a checkpoint as it is."""
    register()
    return STOCK if device.type == "cpu" else "sdpa"


def given(mask: Mask | Tensor | None, causal: bool, offset: int) -> Mask:
    """The mask as the model hands it over: one of ours, or a tensor of the user's, or none at all."""
    if isinstance(mask, Mask):
        return mask
    if mask is None:
        return Causal(offset) if causal else EVERYTHING
    if mask.ndim != 4:
        raise InputError(f"an attention mask has 2 dimensions, or 4 if it is finished; got {tuple(mask.shape)}")
    if mask.dtype != torch.bool:
        lowest = torch.finfo(mask.dtype).min
        if not ((mask == 0) | (mask <= lowest)).all():
            raise InputError(
                "a finished attention mask of numbers holds 0 and the lowest number there is, nothing between"
            )
        mask = mask == 0
    return Dense(mask)


def _compute(
    module: nn.Module,
    q_BHTD: Tensor,
    k_BKSD: Tensor,
    v_BKSD: Tensor,
    attention_mask: Mask | Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The heads' contexts (B, T, H, D) of a stock module's queries, keys and values."""
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    allowed = given(attention_mask, causal, k_BKSD.shape[2] - q_BHTD.shape[2])
    context_BHTD = KERNEL(q_BHTD, k_BKSD, v_BKSD, allowed, scale=scaling, dropout=dropout)[0]
    return context_BHTD.transpose(1, 2), None


def _refuse(module: nn.Module, *_: Any, **__: Any) -> NoReturn:
    raise InputError(f"{type(module).__name__} was not swapped and still computes the checkpoint's own attention")


def _compact(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: Any = None,
    attention_mask: Tensor | None = None,
    **options: Any,
) -> Mask:
    """What transformers wants masked, as one of our masks; patterns it knows and we do not are written out."""
    from transformers.masking_utils import bidirectional_mask_function, causal_mask_function, sdpa_mask

    mask_function = mask_function or causal_mask_function
    if mask_function not in (causal_mask_function, bidirectional_mask_function):
        options |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
        written = sdpa_mask(
            batch_size, q_length, kv_length, q_offset, kv_offset, mask_function, attention_mask, **options
        )
        assert written is not None
        return Dense(written)
    mask = Causal(int(q_offset) - kv_offset) if mask_function is causal_mask_function else EVERYTHING
    if attention_mask is None:
        return mask
    real_BS = attention_mask[:, kv_offset : kv_offset + kv_length].bool()
    real_BS = nn.functional.pad(real_BS, (0, kv_length - real_BS.shape[1]))
    return mask if bool(real_BS.all()) else mask & Padding(real_BS)
