"""How each test example was scored: what lets any two runs be compared on the same examples, long after they ended.

N test examples.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finetune.errors import InputError
from finetune.hashing import content_key


@dataclass(frozen=True, kw_only=True)
class Items:
    """Whether each test example was right, in the order of their ids: a bit each, so that it fits into a record."""

    ids: str  # hash of the ids, which every run on the same examples has
    n: int
    right: str  # the bits, eight to a byte, in base64

    @staticmethod
    def of(ids: Sequence[str], right_N: np.ndarray) -> Items:
        """The order that the examples come in does not matter."""
        order = sorted(range(len(ids)), key=ids.__getitem__)
        packed = np.packbits(right_N[order]).tobytes()
        return Items(
            ids=content_key(*(ids[index] for index in order)), n=len(ids), right=base64.b64encode(packed).decode()
        )

    def __post_init__(self) -> None:
        try:
            packed = base64.b64decode(self.right, validate=True)
        except (TypeError, ValueError) as error:
            raise InputError(f"items.right must be bits in base64, got {str(self.right)[:40]!r}") from error
        if len(packed) != -(-self.n // 8):
            raise InputError(f"items.right must have the bits of {self.n} test examples, got {8 * len(packed)}")

    def unpacked(self) -> np.ndarray:
        """N booleans."""
        packed = np.frombuffer(base64.b64decode(self.right), dtype=np.uint8)
        return np.unpackbits(packed, count=self.n).astype(bool)
