"""Attention whose cost grows with the length, not with its square.

B batch, H heads of queries, K heads of keys and values, T queries, S keys, D head width, E = D + 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from finetune.attention.cores import Core, mix, products
from finetune.attention.masks import EVERYTHING, Both, Causal, Everything, Mask, Padding
from finetune.attention.positions import Learned, Position
from finetune.errors import InputError

CHUNK = 64  # about a head's width: the sums within a chunk and those before it then cost the same


@dataclass(frozen=True, kw_only=True)
class Linear(Core):
    """Σ_s φ(q_t)·φ(k_s) v_s / Σ_s φ(q_t)·φ(k_s), φ(x) = elu(x) + 1 (Katharopoulos and others 2020, arXiv 2006.16236).

    Σ_s φ(k_s)v_sᵀ is summed once for all queries, or along the chunks of a causal text, so it costs O(T · D²) and
    memory for T. The scale is split evenly between queries and keys, before φ; sums are at least float32. There are
    no weights to drop, so dropout does nothing. φ is much flatter than exp: a pretrained model without training looks
    at everything at once, and should do little better than with uniform weights.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.position is not None and type(self.position).bias is not Position.bias:
            raise InputError(
                f"attention.core.position cannot be {type(self.position).__name__}: linear attention has no scores "
                "to add a bias to"
            )

    def attend(
        self,
        q_BHTD: Tensor,
        k_BKSD: Tensor,
        v_BKSD: Tensor,
        mask: Mask,
        scale: float,
        dropout: float,
        learned: Learned,
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        padding, offset = _understood(mask)
        wide = torch.promote_types(q_BHTD.dtype, torch.float32)
        share = scale**0.5
        q, k = (_features(x.to(wide) * share) for x in (q_BHTD, k_BKSD))
        real_B11S = padding.dense(q.shape[2], k.shape[2], q.device)
        if real_B11S is not None:
            k = k.masked_fill(~real_B11S.mT, 0.0)
        v_BKSE = F.pad(v_BKSD.to(wide), (0, 1), value=1.0)  # the ones gather the sum of the weights
        sums_BHTE = mix(q, k.mT @ v_BKSE) if offset is None else _causal(q, k, v_BKSE, offset)
        context_BHTD = _divided(sums_BHTE[..., :-1], sums_BHTE[..., -1:]).to(q_BHTD.dtype)
        return context_BHTD, _weights(q, k, offset).to(q_BHTD.dtype) if need_weights else None


def _features(x: Tensor) -> Tensor:
    # elu(x) + 1, but exact where elu is near −1
    return x.clamp(max=0).exp() + x.relu()


def _understood(mask: Mask) -> tuple[Mask, int | None]:
    """The padding in a mask, and the offset of its causal part if it has one."""
    match mask:
        case Everything() | Padding():
            return mask, None
        case Causal():
            return EVERYTHING, mask.offset
        case Both():
            (one, first), (other, second) = _understood(mask.one), _understood(mask.other)
            return one & other, min((each for each in (first, second) if each is not None), default=None)
    raise InputError(f"linear attention can only do padding and causal masks, not {type(mask).__name__}")


def _causal(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSE: Tensor, offset: int) -> Tensor:
    """Sums over keys 0 … t + offset: of each query's own chunk key by key, of all before it as one."""
    queries, keys = q_BHTD.shape[2], k_BKSD.shape[2]
    offset = max(-queries, min(offset, keys))
    seen = max(offset, 0)
    before_BKDE = k_BKSD[:, :, :seen].mT @ v_BKSE[:, :, :seen]
    # key t + offset is put beside query t: what a chunk may see of itself is then a triangle
    beside = (F.pad(x, (0, 0, -offset, queries + offset - keys)) for x in (k_BKSD, v_BKSE))
    found = []
    for q, k, v in zip(*(x.split(CHUNK, dim=2) for x in (q_BHTD, *beside)), strict=True):
        found.append(mix(q, before_BKDE) + mix(products(q, k).tril(), v))
        before_BKDE = before_BKDE + k.mT @ v
    return torch.cat(found, dim=2)


def _weights(q_BHTD: Tensor, k_BKSD: Tensor, offset: int | None) -> Tensor:
    """The weights that the sums amount to, written out."""
    products_BHTS = products(q_BHTD, k_BKSD)
    allowed = None if offset is None else Causal(offset).dense(q_BHTD.shape[2], k_BKSD.shape[2], q_BHTD.device)
    if allowed is not None:
        products_BHTS = products_BHTS.masked_fill(~allowed, 0.0)
    return _divided(products_BHTS, products_BHTS.sum(-1, keepdim=True))


def _divided(sums: Tensor, total: Tensor) -> Tensor:
    """Zeros where a query may look at nothing."""
    return sums / total.masked_fill(total < torch.finfo(total.dtype).tiny, 1.0)
