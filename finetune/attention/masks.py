"""Which keys each query may look at: a small algebra of masks that are never larger than they must be.

B batch, H heads, T queries, S keys. A mask answers for one block of queries and keys at a time, so that nobody needs
the whole T × S square; `True` stands for a block that is all allowed and `False` for one that is all forbidden.

    Causal() & Padding(real_BS)             a decoder's, on padded texts
    Padding(real_BS)                        an encoder's; over the encoder's keys, cross-attention's
    Causal() & Window(256) & Padding(…)     only the last 256 tokens
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from finetune.errors import InputError


class Mask(ABC):
    """Which keys a query may look at. Query t stands at position `t + offset` of the keys: behind a cache of them."""

    @abstractmethod
    def block(self, rows: slice, columns: slice, device: torch.device) -> Tensor | bool:
        """Of queries `rows` and keys `columns`: bools that broadcast to B, H, rows, columns; or one for all of them."""

    def parts(self) -> tuple[Mask, ...]:
        """The masks that must all allow; one that is made of none is its own only part."""
        return (self,)

    def reach(self, rows: slice, keys: int) -> slice:
        """The keys of `keys` between which all lie that any query of `rows` may look at."""
        return slice(0, keys)

    def shape(self) -> tuple[int, int, int, int]:
        """B, H, T, S that it was made for; 1 for any."""
        return (1, 1, 1, 1)

    def check(self, scores: tuple[int, ...]) -> None:
        """
        Raises:
            InputError: a part was made for scores of another size.
        """
        for part in self.parts():
            if any(size not in (1, whole) for size, whole in zip(part.shape(), scores, strict=True)):
                raise InputError(
                    f"a mask of {part.shape()} does not fit scores of {tuple(scores)}: batch, heads, queries, keys"
                )

    def __and__(self, other: Mask) -> Mask:
        return other if isinstance(self, Everything) else self if isinstance(other, Everything) else Both(self, other)

    def __or__(self, other: Mask) -> Mask:
        return self if isinstance(self, Everything) else other if isinstance(other, Everything) else Either(self, other)

    def dense(self, queries: int, keys: int, device: torch.device) -> Tensor | None:
        """All of it, as bools that broadcast to B, H, T, S; None where everything is allowed."""
        found = self.block(slice(0, queries), slice(0, keys), device)
        if isinstance(found, Tensor):
            return found
        return None if found else torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=device)


@dataclass(frozen=True)
class Everything(Mask):
    """No restriction."""

    def block(self, rows: slice, columns: slice, device: torch.device) -> bool:
        return True


EVERYTHING = Everything()


@dataclass(frozen=True, eq=False)
class Padding(Mask):
    """Only the keys that are real: `real_BS` is true for them."""

    real_BS: Tensor

    def __post_init__(self) -> None:
        if self.real_BS.ndim != 2:
            raise InputError(f"a padding mask has 2 dimensions, batch and keys; got {tuple(self.real_BS.shape)}")

    def shape(self) -> tuple[int, int, int, int]:
        batch, keys = self.real_BS.shape
        return batch, 1, 1, keys

    def block(self, rows: slice, columns: slice, device: torch.device) -> Tensor:
        return self.real_BS[:, None, None, columns].to(device, torch.bool)


@dataclass(frozen=True)
class Causal(Mask):
    """Only keys at the query's own position and before: no look-ahead."""

    offset: int = 0

    def reach(self, rows: slice, keys: int) -> slice:
        return within(0, rows.stop + self.offset, keys)

    def block(self, rows: slice, columns: slice, device: torch.device) -> Tensor | bool:
        first, last = rows.start + self.offset, rows.stop - 1 + self.offset
        if columns.stop - 1 <= first:
            return True
        if columns.start > last:
            return False
        rows_T1, columns_S = _positions(rows, columns, self.offset, device)
        return (columns_S <= rows_T1)[None, None]


@dataclass(frozen=True)
class Window(Mask):
    """Only keys fewer than `width` positions away, on either side."""

    width: int
    offset: int = 0

    def __post_init__(self) -> None:
        if self.width < 1:
            raise InputError(f"a window is at least 1 position wide, got {self.width}")

    def reach(self, rows: slice, keys: int) -> slice:
        return within(rows.start + self.offset - self.width + 1, rows.stop - 1 + self.offset + self.width, keys)

    def block(self, rows: slice, columns: slice, device: torch.device) -> Tensor | bool:
        first, last = rows.start + self.offset, rows.stop - 1 + self.offset
        if max(columns.stop - 1 - first, last - columns.start) < self.width:
            return True
        if columns.start - last >= self.width or first - (columns.stop - 1) >= self.width:
            return False
        rows_T1, columns_S = _positions(rows, columns, self.offset, device)
        return ((rows_T1 - columns_S).abs() < self.width)[None, None]


@dataclass(frozen=True, eq=False)
class Dense(Mask):
    """Any pattern at all, written out: bools that broadcast to B, H, T, S."""

    allowed_BHTS: Tensor

    def __post_init__(self) -> None:
        if self.allowed_BHTS.ndim != 4 or self.allowed_BHTS.dtype != torch.bool:
            raise InputError(
                "a dense mask holds bools in 4 dimensions, batch, heads, queries and keys; got "
                f"{self.allowed_BHTS.dtype} of {tuple(self.allowed_BHTS.shape)}"
            )

    def shape(self) -> tuple[int, int, int, int]:
        batch, heads, queries, keys = self.allowed_BHTS.shape
        return batch, heads, queries, keys

    def block(self, rows: slice, columns: slice, device: torch.device) -> Tensor:
        allowed = self.allowed_BHTS
        # a dimension of 1 stands for all of them
        rows = slice(None) if allowed.shape[2] == 1 else rows
        columns = slice(None) if allowed.shape[3] == 1 else columns
        return allowed[:, :, rows, columns].to(device)


@dataclass(frozen=True)
class Both(Mask):
    """What both allow."""

    one: Mask
    other: Mask

    def parts(self) -> tuple[Mask, ...]:
        return *self.one.parts(), *self.other.parts()

    def reach(self, rows: slice, keys: int) -> slice:
        one, other = self.one.reach(rows, keys), self.other.reach(rows, keys)
        start = max(one.start, other.start)
        return slice(start, max(start, min(one.stop, other.stop)))

    def block(self, rows: slice, columns: slice, device: torch.device) -> Tensor | bool:
        one, other = self.one.block(rows, columns, device), self.other.block(rows, columns, device)
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            return one & other
        return (other if one else False) if isinstance(one, bool) else (one if other else False)


@dataclass(frozen=True)
class Either(Mask):
    """What at least one allows."""

    one: Mask
    other: Mask

    def shape(self) -> tuple[int, int, int, int]:
        return tuple(max(sizes) for sizes in zip(self.one.shape(), self.other.shape(), strict=True))  # pyright: ignore

    def check(self, scores: tuple[int, ...]) -> None:
        self.one.check(scores)
        self.other.check(scores)

    def reach(self, rows: slice, keys: int) -> slice:
        one, other = self.one.reach(rows, keys), self.other.reach(rows, keys)
        return slice(min(one.start, other.start), max(one.stop, other.stop))

    def block(self, rows: slice, columns: slice, device: torch.device) -> Tensor | bool:
        one, other = self.one.block(rows, columns, device), self.other.block(rows, columns, device)
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            return one | other
        return (True if one else other) if isinstance(one, bool) else (True if other else one)


def within(start: int, stop: int, keys: int) -> slice:
    """From start to stop, as far as there are keys; it may be empty."""
    start = min(max(start, 0), keys)
    return slice(start, min(max(stop, start), keys))


def added(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """What to add to scores so that a softmax sees the allowed keys alone: 0, or a number below all scores.

    Adding is faster than filling in through a broadcast mask (`make bench`), and its gradient costs nothing. The number
    is far from the lowest of the format, so that masks may be added on one another.
    """
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, lowest(dtype))


def lowest(dtype: torch.dtype) -> float:
    """A score that no softmax sees beside any other."""
    return torch.finfo(dtype).min / 8


def _positions(rows: slice, columns: slice, offset: int, device: torch.device) -> tuple[Tensor, Tensor]:
    rows_T = torch.arange(rows.start + offset, rows.stop + offset, device=device)
    return rows_T[:, None], torch.arange(columns.start, columns.stop, device=device)
