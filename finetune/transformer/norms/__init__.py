"""What keeps the numbers between layers in range: a part of a system, one alternative a file.

B batch, T tokens, E width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from finetune.parts import Part


class Norm(Part, ABC):
    """A frozen value; what it learns is in the module that it builds."""

    where: ClassVar[str] = "checkpoint.system.norm"

    @abstractmethod
    def build(self, width: int) -> nn.Module:
        """A module of x (B, T, E) and which tokens are real (B, T), or None where all are; it returns (B, T, E)."""
