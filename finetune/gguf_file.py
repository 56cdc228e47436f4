"""A GGUF file, read in a moment: what it says of itself, and its tensors. (gguf's own reader takes seconds.)"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

FIXED: dict[int, str] = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9  # the other kinds of values; of those above, `struct` has the letters
ALIGNMENT = 32  # bytes, unless the file says otherwise


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A tensor as it lies in the file."""

    shape: tuple[int, ...]
    kind: int  # of numbers: GGML's, most of them blocks of few bits
    start: int  # bytes after the first tensor's


class GgufFile:
    """The header is read at once, tensors when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.bytes = np.memmap(path, mode="r")
        self._buffer, self._at = self.bytes.data, 0
        _, _, tensors, settings = self._take("4sIQQ")
        self.settings: dict[str, Any] = {self._text(): self._value() for _ in range(settings)}
        self.tensors = {self._text(): self._stored() for _ in range(tensors)}
        alignment = self.settings.get("general.alignment", ALIGNMENT)
        self.start = -(-self._at // alignment) * alignment

    def tensor(self, name: str) -> np.ndarray:
        """The numbers of a tensor, in float32."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

        stored = self.tensors[name]
        kind = GGMLQuantizationType(stored.kind)
        block, size = GGML_QUANT_SIZES[kind]
        start = self.start + stored.start
        raw = self.bytes[start : start + prod(stored.shape) // block * size]
        return dequantize(np.asarray(raw).reshape(*stored.shape[:-1], -1), kind).reshape(stored.shape)

    def _take(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self._buffer, self._at)
        self._at += struct.calcsize(f"<{form}")
        return found

    def _text(self) -> str:
        (length,) = self._take("Q")
        self._at += length
        return bytes(self._buffer[self._at - length : self._at]).decode()

    def _value(self, kind: int | None = None) -> Any:
        kind = int(self._take("I")[0]) if kind is None else kind
        if kind == TEXT:
            return self._text()
        if kind == LIST:
            of, length = self._take("IQ")
            return [self._value(of) for _ in range(length)]
        return self._take(FIXED[kind])[0]

    def _stored(self) -> Stored:
        (dimensions,) = self._take("I")
        shape = self._take(f"{dimensions}Q")[::-1]  # written fastest first
        kind, start = self._take("IQ")
        return Stored(shape=shape, kind=kind, start=start)
