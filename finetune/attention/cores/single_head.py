"""Attention with one head as wide as all of them together.

B batch, H heads of queries, K heads of keys and values, T queries, S keys, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from finetune.attention.cores import Core
from finetune.attention.masks import Mask
from finetune.attention.positions import Learned


@dataclass(frozen=True, kw_only=True)
class SingleHead(Core):
    """softmax(Σ_h q_h·k_h / √(H · D)) for all heads: row A of table 3 in Vaswani and others 2017 (arXiv 1706.03762).

    One pattern of weights mixes all values. Costs O(T · S), with an H-th of the memory of H heads. A pretrained model
    whose heads look at different things gets one blurred look instead, and without training should lose most of what
    it knows.
    """

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
        heads = q_BHTD.shape[1]
        context, weights = super().attend(
            _one_head(q_BHTD, heads),
            _one_head(k_BKSD, heads),
            _one_head(v_BKSD, heads),
            mask,
            # the model's scale is for a width of D, and this head is H times as wide
            scale * heads**-0.5,
            dropout,
            learned,
            need_weights,
        )
        context_BHTD = context[:, 0].unflatten(-1, (heads, -1)).transpose(1, 2)
        return context_BHTD, None if weights is None else weights.expand(-1, heads, -1, -1)

    def learned(self, width: int, heads: int, head_width: int) -> dict[str, Tensor]:
        return super().learned(width, 1, heads * head_width)


def _one_head(x_BKSD: Tensor, heads: int) -> Tensor:
    """All heads side by side as one: (B, 1, S, H·D). Those shared by several heads of queries are repeated."""
    return x_BKSD.repeat_interleave(heads // x_BKSD.shape[1], dim=1).transpose(1, 2).flatten(2)[:, None]
