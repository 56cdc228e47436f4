"""Layer norm: each token by itself is brought to mean 0 and deviation 1.

B batch, T tokens, E width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from finetune.transformer.norms import Norm


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Norm):
    """(x − mean) / deviation · γ + β over the E numbers of a token (Ba and others 2016, arXiv 1607.06450).

    No token knows of another, so padding, batch size and length change nothing, and training is as predicting.
    """

    def build(self, width: int) -> nn.Module:
        return Layer(width)


class Layer(nn.LayerNorm):
    """torch's, which has no use for what is real."""

    def forward(self, input: Tensor, real_BT: Tensor | None = None) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)
