"""What is dropped, drawn at a part of what torch's own draw costs on a CPU (`make bench`).

A number is dropped by a 16-bit random number of its own, four of which come with each step of a 64-bit generator; its
share is thereby exact to 1/65536. torch draws a double for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn


def draw_seed() -> int:
    """From torch's global generator, so that a seed, and a recomputed forward pass, decide what is dropped."""
    return int(torch.randint(2**62, ()))


def stays(like: Tensor, share: float, seed: Sequence[int]) -> Tensor:
    """1 for what stays and 0 for the share that is dropped, in the shape and format of `like`, by the seed alone."""
    if like.device.type != "cpu":
        generator = torch.Generator(like.device).manual_seed(hash(tuple(seed)) % 2**63)
        return torch.empty_like(like).bernoulli_(1 - share, generator=generator)
    words = np.random.Generator(np.random.SFC64(seed)).integers(2**64, size=-(-like.numel() // 4), dtype=np.uint64)
    bits = torch.from_numpy(words.view(np.int16))[: like.numel()].view(like.shape)
    return torch.ge(bits, round(share * 2**16) - 2**15, out=torch.empty_like(like))


def staying(weights: Tensor, share: float) -> Tensor:
    """The weights that stay, and zeros."""
    return weights * stays(weights, share, (draw_seed(),))


def dropped(weights: Tensor, share: float) -> Tensor:
    """The weights that stay, divided by their share, so that on average nothing changes."""
    return weights * stays(weights, share, (draw_seed(),)).div_(1 - share)


class Dropout(nn.Dropout):
    """torch's layer with our draw."""

    def forward(self, input: Tensor) -> Tensor:
        return dropped(input, self.p) if self.training and self.p else input


def replace(model: nn.Module) -> None:
    """Our draw in every dropout layer of a model, in place."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Dropout:
            model.set_submodule(name, Dropout(module.p).train(module.training))
