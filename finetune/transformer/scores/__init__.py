"""How a recurrent decoder asks what its encoder has read: a part of a system, one alternative a file.

B batch, T queries, S keys, E width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from finetune.parts import Part


class Score(Part, ABC):
    """A frozen value; what it learns is in the module that it builds."""

    where: ClassVar[str] = "checkpoint.system.attention"

    @abstractmethod
    def build(self, width: int) -> nn.Module:
        """A module of queries (B, T, E), the decoder's states, and keys (B, S, E), the encoder's: (B, T, S)."""
