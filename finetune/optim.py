"""How trained weights move, and for how long: optimizer, learning-rate schedule and budget, as values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from finetune.errors import InputError
from finetune.parts import Part


@dataclass(frozen=True, kw_only=True)
class Budget(Part):
    """How long training through the backbone goes on, and in what portions."""

    where: ClassVar[str] = "budget"

    epochs: int = 3
    least_updates: int = 0  # where the epochs come to fewer, there are more epochs: few rows need many passes
    batch_size: int = 32  # examples per update, over all processes and micro-batches
    micro_batch: int | None = None  # largest number of examples in one forward pass; None: a process' whole share
    snapshot_every: int | None = None  # updates between snapshots to go on from; None: as often as costs little time
    patience: int | None = None  # epochs without a better validation score before stopping; None: train to the end

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size)):
            if value < 1:
                raise InputError(f"budget.{name} must be at least 1, got {value}")
        if self.least_updates < 0:
            raise InputError(f"budget.least_updates must be at least 0, got {self.least_updates}")
        limits = {name: getattr(self, name) for name in ("micro_batch", "snapshot_every", "patience")}
        for name, limit in limits.items():
            if limit is not None and limit < 1:
                raise InputError(f"budget.{name} must be at least 1 or none, got {limit}")

    def passes(self, rows: int) -> int:
        """Epochs over so many rows."""
        return max(self.epochs, math.ceil(self.least_updates / math.ceil(rows / self.batch_size)))


@dataclass(frozen=True, kw_only=True)
class AdamW(Part):
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), with a linear warm-up, then decay."""

    where: ClassVar[str] = "method.optim"

    learning_rate: float
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.1  # share of all steps over which the rate rises from zero
    decay: Literal["linear", "cosine", "constant"] = "linear"
    clip_norm: float = 1.0  # largest norm of the whole gradient

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"method.optim.learning_rate must be positive and finite, got {self.learning_rate}")
        if not 0 <= self.warmup < 1:
            raise InputError(f"method.optim.warmup is a share of all steps and must be in [0, 1), got {self.warmup}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"method.optim.betas must be in [0, 1), got {self.betas}")
        if self.weight_decay < 0 or self.clip_norm <= 0:
            raise InputError(
                "method.optim.weight_decay must be at least 0 and clip_norm above 0, "
                f"got {self.weight_decay} and {self.clip_norm}"
            )

    def groups(self, module: nn.Module) -> list[dict[str, Any]]:
        """Parameter groups of everything trainable: matrices decay, vectors (norms, biases) do not."""
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        matrices = [parameter for parameter in trained if parameter.ndim >= 2]
        vectors = [parameter for parameter in trained if parameter.ndim < 2]
        groups = [{"params": matrices, "weight_decay": self.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        return [group for group in groups if group["params"]]

    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(list(groups), lr=self.learning_rate, betas=self.betas, fused=True)

    def factor(self, step: int, steps: int) -> float:
        """The share of the learning rate used for update `step` (from 0) of `steps`."""
        rise = round(self.warmup * steps)
        if step < rise:
            return (step + 1) / rise
        left = (steps - step) / max(1, steps - rise)
        match self.decay:
            case "linear":
                return left
            case "cosine":
                return 0.5 * (1 + math.cos(math.pi * (1 - left)))
            case "constant":
                return 1.0
