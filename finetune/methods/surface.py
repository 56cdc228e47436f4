"""What shows without any backbone: which word pieces a text has, or how bright an image is where. The control to beat.

N examples, T tokens, W words of all examples, V word pieces or pixels, C outputs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finetune import batches
from finetune.encode import Examples
from finetune.errors import InputError
from finetune.methods import Material, Pretrained, Solved, Trainee
from finetune.objective import Objective
from finetune.progress import Silent

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from transformers.modeling_outputs import SequenceClassifierOutput, TokenClassifierOutput

SIDE = 28  # pixels that an image is averaged to
TOKENS = 4096  # read at a time
EXAMPLES = 256  # the same, in their order


@dataclass(frozen=True, kw_only=True)
class Surface(Solved):
    """Scikit-learn's logistic regression of TF-IDF over the tokenizer's word pieces, or of the pixels of a small image.

    Of values its ridge regression. A word that is tagged by itself is known by the piece that it begins with.

    Uses of the checkpoint its tokenizer or image processor, and nothing else.
    """

    bare: ClassVar[bool] = True

    inverse_penalty: float = 10.0  # scikit-learn's C, and 1 / alpha of a ridge: the larger, the closer the fit

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.inverse_penalty < math.inf:
            raise InputError(f"method.inverse_penalty must be above 0 and finite, got {self.inverse_penalty}")

    def trainee(self, material: Material) -> Trainee:
        objective = self.objective(material)
        train, started = material.examples["train"], time.perf_counter()
        if train.places is not None:
            pieces_W = _pieces(train)
            module = OfWords(int(pieces_W.max()) + 1, objective.outputs).to(material.device)
            features = _told_apart(pieces_W)
        else:
            weight_V = torch.ones(3 * SIDE**2) if train.reached is None else _rarity(train)
            module = Linear(weight_V, objective.outputs, texts=train.reached is not None).to(material.device)
            features = _features(module, train)
        return Trainee(
            module=module,
            examples=material.examples,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            feature_seconds=time.perf_counter() - started,
            solve=partial(_solve, module.linear, objective, features, train.answers, self.inverse_penalty),
        )

    def restore(self, start: Pretrained, folder: Path) -> nn.Module:
        stored, outputs = self.saved(folder), self.objective(start).outputs
        if "weight_V" in stored:
            module = Linear(stored["weight_V"], outputs, texts=bool(stored["texts"]))
        else:
            module = OfWords(stored["linear.weight"].shape[1], outputs)
        module.load_state_dict(stored)
        return module.to(start.device).eval()


class Linear(nn.Module):
    """A linear head on what shows."""

    weight_V: Tensor
    texts: Tensor

    def __init__(self, weight_V: Tensor, outputs: int, *, texts: bool) -> None:
        super().__init__()
        self.register_buffer("weight_V", weight_V)
        self.register_buffer("texts", torch.tensor(texts))
        self.linear = nn.Linear(len(weight_V), outputs)

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(N, V): TF-IDF of length 1 (Salton and Buckley 1988), or pixels."""
        if not bool(self.texts):
            return F.adaptive_avg_pool2d(inputs["pixel_values"].float(), SIDE).flatten(1)
        ids_NT = inputs["input_ids"]
        # a word piece that no training row has says nothing: its weight is zero, and so is that of all after the last
        known_NT = (ids_NT < len(self.weight_V)) & inputs["attention_mask"].bool()
        counts_NV = self.weight_V.new_zeros(len(ids_NT), len(self.weight_V))
        counts_NV.scatter_add_(1, ids_NT.clamp(max=len(self.weight_V) - 1), known_NT.to(counts_NV.dtype))
        return F.normalize(counts_NV * self.weight_V)

    def forward(self, **inputs: Tensor) -> SequenceClassifierOutput:
        from transformers.modeling_outputs import SequenceClassifierOutput

        return SequenceClassifierOutput(logits=self.linear(self.features(inputs)))


class OfWords(nn.Module):
    """A linear head on which word piece stands where: what is asked of a word is asked where it begins."""

    def __init__(self, pieces: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(pieces, outputs)

    def forward(self, **inputs: Tensor) -> TokenClassifierOutput:
        from transformers.modeling_outputs import TokenClassifierOutput

        ids_NT, weight_CV = inputs["input_ids"], self.linear.weight
        known_NT1 = (ids_NT < weight_CV.shape[1])[..., None]  # one after those of the training rows says nothing
        said_NTC = F.embedding(ids_NT.clamp(max=weight_CV.shape[1] - 1), weight_CV.T) * known_NT1
        return TokenClassifierOutput(logits=said_NTC + self.linear.bias)  # pyright: ignore[reportArgumentType]


@torch.no_grad()
def _solve(
    linear: nn.Linear,
    objective: Objective,
    features_NV: csr_array | np.ndarray,
    answers_N: np.ndarray,
    inverse: float,
    progress: Silent,
) -> int:
    """Returns the iterations."""
    del progress  # scikit-learn tells of none
    weights_CV, bias_C, iterations = objective.of_surface(features_NV, answers_N, inverse)
    linear.weight.copy_(torch.from_numpy(weights_CV))
    linear.bias.copy_(torch.from_numpy(bias_C))
    return iterations


def _pieces(train: Examples) -> np.ndarray:
    """The word piece (W) that each word which is read begins with, example after example."""
    found = []
    for start in range(0, len(train), EXAMPLES):
        batch = train.batch(np.arange(start, min(start + EXAMPLES, len(train))))
        ids_NS = batch.inputs["input_ids"].gather(1, batch.targets[..., 0].clamp(min=0))
        found.append(ids_NS[batch.targets[..., 0] >= 0].numpy())
    return np.concatenate(found)


def _told_apart(pieces_W: np.ndarray) -> csr_array:
    """(W, V): 1 at the piece of each word."""
    from scipy import sparse

    ones_W, begins = np.ones(len(pieces_W)), np.arange(len(pieces_W) + 1)
    return sparse.csr_array((ones_W, pieces_W, begins), shape=(len(pieces_W), int(pieces_W.max()) + 1))


def _rarity(train: Examples) -> Tensor:
    """The inverse document frequency of every word piece, smoothed as in scikit-learn; of one that no row has zero."""
    assert train.reached is not None
    found_V = np.zeros(int(train.reached.max()) + 1)
    for indices in batches.sweep(train.lengths, TOKENS):
        batch = train.batch(indices)
        for ids_T, mask_T in zip(batch.inputs["input_ids"], batch.inputs["attention_mask"], strict=True):
            found_V[torch.unique(ids_T[mask_T.bool()]).numpy()] += 1
    rarity_V = np.log((1 + len(train)) / (1 + found_V)) + 1
    return torch.from_numpy(np.where(found_V > 0, rarity_V, 0.0)).float()


def _features(module: Linear, train: Examples) -> csr_array | np.ndarray:
    """Of every training example, in their order: sparse of texts."""
    from scipy import sparse

    texts, device = bool(module.texts), module.weight_V.device
    order, parts = [], []
    for indices in batches.sweep(train.lengths, TOKENS):
        batch = train.batch(indices).to(device, torch.float32)
        found_NV = module.features(batch.inputs).cpu().numpy()
        order.append(indices)
        parts.append(sparse.csr_array(found_NV) if texts else found_NV)
    back = np.argsort(np.concatenate(order))
    return sparse.csr_array(sparse.vstack(parts))[back] if texts else np.concatenate(parts)[back]
