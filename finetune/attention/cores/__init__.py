"""How queries, keys and values become a context: the part of attention worth changing, one alternative a file.

B batch, H heads of queries, K heads of keys and values (K divides H), T queries, S keys, D head width.

    context = mix(dropout(normalise(scores(q, k) + bias, mask)), v)

A core is a frozen value that replaces one of these steps, or all of them. What it learns is handed in as `learned`;
the module around it keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from finetune.attention.forms import fastest
from finetune.attention.lean import lean
from finetune.attention.masks import EVERYTHING, Causal, Mask, added
from finetune.attention.positions import Learned, Position, at
from finetune.dropout import staying
from finetune.errors import InputError
from finetune.parts import Part

NOTHING: Mapping[str, Tensor] = {}


@dataclass(frozen=True, kw_only=True)
class Core(Part):
    """Scaled dot-product attention, softmax(QKᵀ/√D)V (Vaswani and others 2017, arXiv 1706.03762, equation 1).

    Subclasses say in their docstrings what they change, where it comes from, what it costs in T, and what it should do
    to a pretrained model. This plain form costs O(T · S) operations and as much memory, and can show its weights.
    """

    where: ClassVar[str] = "attention.core"
    exact: ClassVar[bool] = False  # whether it claims to be what checkpoints were trained with: it then has to prove it

    position: Position | None = None

    def __call__(
        self,
        q_BHTD: Tensor,
        k_BKSD: Tensor,
        v_BKSD: Tensor,
        mask: Mask = EVERYTHING,
        *,
        scale: float | None = None,
        dropout: float = 0.0,
        learned: Learned = NOTHING,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The context of each query (B, H, T, D), and the weights it was mixed with (B, H, T, S) where asked for.

        A query that may look at nothing gets zeros.

        Args:
            scale: what scores are multiplied by; None: 1/√D.
            dropout: share of the weights that are dropped; the weights returned are those before.

        Raises:
            InputError: shapes that do not belong together.
        """
        check(q_BHTD, k_BKSD, v_BKSD, mask)
        given = q_BHTD.shape[3] ** -0.5 if scale is None else scale
        return self.attend(q_BHTD, k_BKSD, v_BKSD, mask, given, dropout, learned, need_weights)

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
        """The call, once its arguments are known to belong together: what a core replaces that replaces every step."""
        queries, keys = q_BHTD.shape[2], k_BKSD.shape[2]
        mask = self.restrict(mask, keys - queries)
        replaceable = self._is_softmax and not need_weights and not learned
        form = fastest(q_BHTD, k_BKSD, mask, dropout) if replaceable else "plain"
        if form == "torch" and self.position is None:
            return fused(q_BHTD, k_BKSD, v_BKSD, mask, scale, dropout), None
        if form != "plain":
            bias = partial(self.bias, offset=keys - queries, q_BHTD=q_BHTD, learned=learned)
            return lean(q_BHTD, k_BKSD, v_BKSD, mask, bias, scale=scale, dropout=dropout, keep=form != "lean"), None
        scores_BHTS = self.scores(q_BHTD, k_BKSD, scale)
        bias_HTS = self.bias(slice(0, queries), slice(0, keys), keys - queries, q_BHTD, learned)
        if bias_HTS is not None:
            scores_BHTS = scores_BHTS + bias_HTS
        allowed = mask.dense(queries, keys, q_BHTD.device)
        weights_BHTS = self.normalise(scores_BHTS, allowed, learned)
        # what stays is made up for in the context, which is smaller
        kept_BHTS = staying(weights_BHTS, dropout) if dropout else weights_BHTS
        context_BHTD = mix(kept_BHTS, v_BKSD)
        return context_BHTD / (1 - dropout) if dropout else context_BHTD, weights_BHTS if need_weights else None

    def learned(self, width: int, heads: int, head_width: int) -> dict[str, Tensor]:
        """First values of what the core and its position learn, by name."""
        return {} if self.position is None else self.position.learned(width, heads)

    def scores(self, q_BHTD: Tensor, k_BKSD: Tensor, scale: float) -> Tensor:
        """How much each query asks for each key: (B, H, T, S)."""
        return products(q_BHTD * scale, k_BKSD)

    def restrict(self, mask: Mask, offset: int) -> Mask:
        """The mask a core works under, given the model's; query t stands at key t + offset."""
        return mask

    def normalise(self, scores_BHTS: Tensor, allowed: Tensor | None, learned: Learned) -> Tensor:
        """The share of each key in a query's context: (B, H, T, S), zero where it is not allowed."""
        return softmax(scores_BHTS, allowed)

    @property
    def _is_softmax(self) -> bool:
        """Whether it is the softmax of scaled scores: then there are forms of it that never write its weights down."""
        own = type(self)
        return own.scores is Core.scores and own.normalise is Core.normalise and own.bias is Core.bias

    def bias(self, rows: slice, columns: slice, offset: int, q_BHTD: Tensor, learned: Learned) -> Tensor | None:
        """What the position adds to a block of the scores, in the format of the queries."""
        if self.position is None:
            return None
        device = q_BHTD.device
        found = self.position.bias(at(rows, offset, device), at(columns, 0, device), q_BHTD.shape[1], learned)
        return None if found is None else found.to(q_BHTD.dtype)


def fused(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask, scale: float, dropout: float) -> Tensor:
    """torch's own form, where that is the fastest."""
    queries, keys = q_BHTD.shape[2], k_BKSD.shape[2]
    causal = mask == Causal() and queries == keys
    return F.scaled_dot_product_attention(
        q_BHTD,
        k_BKSD,
        v_BKSD,
        attn_mask=None if causal else mask.dense(queries, keys, q_BHTD.device),
        dropout_p=dropout,
        is_causal=causal,
        scale=scale,
        enable_gqa=q_BHTD.shape[1] != k_BKSD.shape[1],
    )


def products(q_BHTD: Tensor, k_BKSD: Tensor) -> Tensor:
    """Every query times every key of its head: (B, H, T, S). H/K heads of queries share one of keys."""
    batch, heads, queries, _ = q_BHTD.shape
    shared, keys = k_BKSD.shape[1:3]
    # the queries of a group of heads are rows of one product, so no key is ever copied
    grouped = q_BHTD.reshape(batch, shared, heads // shared * queries, -1)
    return (grouped @ k_BKSD.transpose(-1, -2)).view(batch, heads, queries, keys)


def mix(weights_BHTS: Tensor, v_BKSD: Tensor) -> Tensor:
    """The values of each head, weighted: (B, H, T, D)."""
    batch, heads, queries, keys = weights_BHTS.shape
    shared = v_BKSD.shape[1]
    grouped = weights_BHTS.reshape(batch, shared, heads // shared * queries, keys)
    return (grouped @ v_BKSD).view(batch, heads, queries, -1)


def softmax(scores_BHTS: Tensor, allowed: Tensor | None) -> Tensor:
    """The softmax over the allowed keys; zeros where there are none."""
    if allowed is None:
        return scores_BHTS.softmax(-1)
    weights_BHTS = (scores_BHTS + added(allowed, scores_BHTS.dtype)).softmax(-1)
    alive_BHT1 = allowed.any(-1, keepdim=True)
    return weights_BHTS if bool(alive_BHT1.all()) else weights_BHTS * alive_BHT1


def check(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask) -> None:
    """
    Raises:
        InputError: queries, keys, values and mask do not belong together.
    """
    q, k, v = tuple(q_BHTD.shape), tuple(k_BKSD.shape), tuple(v_BKSD.shape)
    if not len(q) == len(k) == len(v) == 4:
        raise InputError(f"queries, keys and values have 4 dimensions, batch, heads, length, width; got {q}, {k}, {v}")
    if k[:3] != v[:3]:
        raise InputError(f"each key has one value, but keys are {k} and values {v}: batch, heads, length, width")
    if q[0] != k[0] or q[3] != k[3]:
        raise InputError(f"queries {q} and keys {k} differ in batch (first) or head width (last)")
    if q[1] % k[1]:
        raise InputError(f"{q[1]} heads of queries cannot share {k[1]} heads of keys: it must divide them")
    mask.check((*q[:3], k[2]))
