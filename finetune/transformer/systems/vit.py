"""A small Vision Transformer: an image is a text whose words are its patches (Dosovitskiy and others 2021).

N images, C channels, H and W pixels, P patches, E width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from finetune.attention.positions import Position
from finetune.attention.positions.learned import LearnedPositions
from finetune.errors import InputError
from finetune.transformer.attentive import Attentive
from finetune.transformer.blocks import Encoder
from finetune.transformer.embedding import Place
from finetune.transformer.systems import Vocabulary

CHANNELS = 3  # a grey image is given three times


@dataclass(frozen=True, kw_only=True)
class ViT(Attentive):
    """ViT (arXiv 2010.11929, section 3.1): patches through one linear layer, a learned vector in front, positions.

    What has become of that vector (`cls`), or the mean of all patches (`mean`), is what classifies.
    """

    kind: ClassVar[str] = "finetune-vit"
    reads: ClassVar[Literal["text", "image"]] = "image"

    image_size: int = 28  # side in pixels
    patch_size: int = 4  # likewise
    positions: Position | None = LearnedPositions(length=50)  # one for the vector in front and one for each patch
    pooling: Literal["cls", "mean"] = "cls"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.patch_size <= self.image_size or self.image_size % self.patch_size:
            raise InputError(
                f"{self.where}.patch_size must divide {self.where}.image_size, {self.image_size}, got {self.patch_size}"
            )
        tokens = (self.image_size // self.patch_size) ** 2 + 1
        if isinstance(self.positions, LearnedPositions) and self.positions.length < tokens:
            raise InputError(
                f"{self.where}.positions.length must be at least {tokens}, one for each patch of {self.patch_size} "
                f"pixels of an image of {self.image_size} and one in front, got {self.positions.length}"
            )

    def config(self, vocabulary: Vocabulary | None) -> dict[str, Any]:
        sizes = {"image_size": self.image_size, "patch_size": self.patch_size, "num_channels": CHANNELS}
        return super().config(vocabulary) | sizes

    def build(self, vocabulary: Vocabulary | None) -> ImageReader:
        return ImageReader(self)


class ImageReader(nn.Module):
    def __init__(self, system: ViT) -> None:
        super().__init__()
        self.side, self.pooling = system.patch_size, system.pooling
        self.patches = nn.Linear(CHANNELS * system.patch_size**2, system.width)
        self.front = nn.Parameter(torch.zeros(system.width))
        self.place, self.dropout = Place(system.positions, system.width), nn.Dropout(system.dropout)
        self.encoder = Encoder(system)

    def draw(self) -> None:
        nn.init.normal_(self.front, std=len(self.front) ** -0.5)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """(N, 1 + P, E) of what the embeddings say, and of each block."""
        patches_NPE = self.patches(cut(pixel_values, self.side))
        front_N1E = self.front.expand(len(patches_NPE), 1, -1)
        return self.encoder(self.dropout(self.place(torch.cat([front_N1E, patches_NPE], dim=1))), None)

    def pool(self, hidden_NPE: Tensor, attention_mask: Tensor | None) -> Tensor:
        """One vector for each image (N, E)."""
        return hidden_NPE[:, 0] if self.pooling == "cls" else hidden_NPE[:, 1:].mean(1)


def cut(pixels_NCHW: Tensor, side: int) -> Tensor:
    """The patches of images, row by row, each as one vector: (N, P, C · side²)."""
    rows_NChsws = pixels_NCHW.unflatten(3, (-1, side)).unflatten(2, (-1, side))
    return rows_NChsws.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
