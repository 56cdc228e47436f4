"""Batch norm: each feature is brought to mean 0 and deviation 1 over all tokens of a batch.

B batch, T tokens, E width, M tokens that are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from finetune.errors import InputError
from finetune.transformer.norms import Norm


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Norm):
    """(x − mean) / deviation · γ + β over the tokens of a batch (Ioffe and Szegedy 2015, arXiv 1502.03167).

    Here to show why texts do without it. What becomes of a token depends on its neighbours in the batch; when
    predicting, averages stand in for them that training has collected; in a decoder, what is still to be said
    leaks into what is said. And texts are padded: unless padding is left out (`masked`), how much of it a batch
    happens to have moves every number in it.
    """

    masked: bool = True  # padding does not count
    momentum: float = 0.1  # of the latest batch in the averages

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.momentum <= 1:
            raise InputError(f"{self.where}.momentum must be in (0, 1], got {self.momentum}")

    def build(self, width: int) -> nn.Module:
        return Batch(width, self.masked, self.momentum)


class Batch(nn.Module):
    """Statistics in float32, whatever the model computes in."""

    mean_E: Tensor
    variance_E: Tensor

    def __init__(self, width: int, masked: bool, momentum: float, eps: float = 1e-5) -> None:
        super().__init__()
        self.masked, self.momentum, self.eps = masked, momentum, eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("mean_E", torch.zeros(width))
        self.register_buffer("variance_E", torch.ones(width))

    def draw(self) -> None:
        for one in (self.weight, self.variance_E):
            nn.init.ones_(one)
        for nought in (self.bias, self.mean_E):
            nn.init.zeros_(nought)

    def forward(self, x_BTE: Tensor, real_BT: Tensor | None = None) -> Tensor:
        mean_E, variance_E = self.mean_E, self.variance_E
        if self.training:
            counted_ME = (x_BTE.flatten(0, 1) if real_BT is None or not self.masked else x_BTE[real_BT.bool()]).float()
            if len(counted_ME):  # a batch of nothing but padding says nothing
                variance_E, mean_E = torch.var_mean(counted_ME, dim=0, correction=0)
                self._collect(mean_E.detach(), variance_E.detach())
        scale_E = (variance_E + self.eps).rsqrt() * self.weight
        return ((x_BTE - mean_E) * scale_E + self.bias).to(x_BTE.dtype)

    def _collect(self, mean_E: Tensor, variance_E: Tensor) -> None:
        self.mean_E.lerp_(mean_E, self.momentum)
        self.variance_E.lerp_(variance_E, self.momentum)
