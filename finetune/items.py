"""How each test example was scored: what lets any two runs be compared on the same examples, long after they ended.

N test examples.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finetune import stats
from finetune.errors import InputError
from finetune.hashing import content_key

LONGEST = 255  # a length has one byte: this one stands for all from there on
SCORE = np.dtype("<f2")  # three digits of a score between 0 and 1


@dataclass(frozen=True, kw_only=True)
class Items:
    """Whether each test example was right, in the order of their ids: a bit each, so that it fits into a record.

    What is neither right nor wrong but nearer or farther has a score from 0 to 1 instead, two bytes each. Where rows
    tell how long their source is, so does the record, a byte each; where they tell which are of one group, as reviews
    of one film, it has a number for each group, in as few bytes as the largest needs.
    """

    ids: str  # hash of the ids, which every run on the same examples has
    n: int
    right: str | None = None  # the bits, eight to a byte, in base64; None: there are scores
    scores: str | None = None  # the bytes, in base64; None: there are bits
    lengths: str | None = None  # the bytes, in base64; None: rows have no `length`, or the record is an older one
    groups: str | None = None  # the numbers, in base64; None: rows have no `group`, or the record is an older one

    @staticmethod
    def of(
        ids: Sequence[str],
        right_N: np.ndarray,
        lengths_N: np.ndarray | None = None,
        groups_N: np.ndarray | None = None,
    ) -> Items:
        """The order that the examples come in does not matter.

        Args:
            right_N: whether each is right, as booleans; or its score.
            groups_N: a number of the group that each is of.
        """
        order = sorted(range(len(ids)), key=ids.__getitem__)
        lengths = None if lengths_N is None else _text(np.clip(lengths_N[order], 0, LONGEST).astype(np.uint8).tobytes())
        return Items(
            ids=content_key(*(ids[index] for index in order)),
            n=len(ids),
            right=_text(np.packbits(right_N[order]).tobytes()) if right_N.dtype == bool else None,
            scores=None if right_N.dtype == bool else _text(right_N[order].astype(SCORE).tobytes()),
            lengths=lengths,
            groups=None if groups_N is None else _numbers(groups_N[order]),
        )

    def __post_init__(self) -> None:
        if (self.right is None) == (self.scores is None):
            raise InputError("items must have either right or scores of test examples, got " + _which(self.right))
        if self.right is not None and len(packed := _bytes(self.right, "right", "bits")) != -(-self.n // 8):
            raise InputError(f"items.right must have the bits of {self.n} test examples, got {8 * len(packed)}")
        if self.scores is not None and len(packed := _bytes(self.scores, "scores", "bytes")) != 2 * self.n:
            raise InputError(f"items.scores must have two bytes for each of {self.n} test examples, got {len(packed)}")
        if self.lengths is not None and (found := len(_bytes(self.lengths, "lengths", "bytes"))) != self.n:
            raise InputError(f"items.lengths must have a byte for each of {self.n} test examples, got {found}")
        if self.groups is not None:
            found = len(_bytes(self.groups, "groups", "numbers"))
            if not self.n or found not in [width * self.n for width in (1, 2, 4, 8)]:
                raise InputError(
                    f"items.groups must have a number for each of {self.n} test examples, got {found} bytes"
                )

    def unpacked(self) -> np.ndarray:
        """N scores: 1 of what is right, 0 of what is not."""
        if self.right is None:
            return np.frombuffer(base64.b64decode(self.scores or ""), dtype=SCORE).astype(float)
        packed = np.frombuffer(base64.b64decode(self.right), dtype=np.uint8)
        return np.unpackbits(packed, count=self.n).astype(float)

    def measured(self) -> np.ndarray | None:
        """N lengths of sources, none above 255; None: not known."""
        return None if self.lengths is None else np.frombuffer(base64.b64decode(self.lengths), dtype=np.uint8)

    def together(self) -> np.ndarray | None:
        """N numbers of groups; None: each is alone, or it is not known."""
        if self.groups is None:
            return None
        packed = base64.b64decode(self.groups)
        return np.frombuffer(packed, dtype=f"<u{len(packed) // max(1, self.n)}")


def independent(items: Sequence[Items], chosen_N: np.ndarray | None = None) -> np.ndarray:
    """(S, N) scores of the same test examples in S records; of groups of examples, if all tell them, what stands for
    these (`stats.by_group`), for they are independent of each other and examples are not.

    Args:
        chosen_N: of which examples; None: of all.
    """
    scores_SN, groups_N = np.stack([each.unpacked() for each in items]), shared_groups(items, chosen_N)
    scores_SN = scores_SN if chosen_N is None else scores_SN[:, chosen_N]
    return scores_SN if groups_N is None else stats.by_group(scores_SN, groups_N)


def shared_groups(items: Sequence[Items], chosen_N: np.ndarray | None = None) -> np.ndarray | None:
    """N numbers of the groups of the examples, or of the chosen ones; None: they are alone, or records do not all tell
    the same.
    """
    groups_N = items[0].together() if len({each.groups for each in items}) == 1 else None
    return groups_N if groups_N is None or chosen_N is None else groups_N[chosen_N]


def effective(items: Sequence[Items], chosen_N: np.ndarray | None = None) -> float | None:
    """The effective number of these groups; None: there are none."""
    groups_N = shared_groups(items, chosen_N)
    return None if groups_N is None else stats.effective(groups_N)


def _numbers(groups_N: np.ndarray) -> str:
    """In the order of their first, so that what a group is called does not matter."""
    _, first_G, group_N = np.unique(groups_N, return_index=True, return_inverse=True)
    number_N = np.argsort(np.argsort(first_G))[group_N]
    return _text(number_N.astype(np.min_scalar_type(len(first_G) - 1).newbyteorder("<")).tobytes())


def _which(right: str | None) -> str:
    return "neither" if right is None else "both"


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()


def _bytes(text: str, name: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"items.{name} must be {what} in base64, got {str(text)[:40]!r}") from error
