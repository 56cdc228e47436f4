"""Rows whose labels are somebody else's: whoever learns to tell them apart has seen the answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from finetune.data import Data, Fetched, Rows, answer, targets
from finetune.errors import InputError
from finetune.hashing import content_key
from finetune.progress import Silent

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True, kw_only=True)
class Shuffled(Data):
    """Another data set with the labels, or the values, of its training rows dealt out anew: as many of each as before.

    A test set of its own keeps its labels. A score above that of the majority's label is a leak.
    """

    of: Data
    seed: int = 0

    def fetch(self, progress: Silent) -> Fetched:
        fetched = self.of.fetch(progress)
        return replace(fetched, sha256=content_key(fetched.sha256, "shuffled", self.seed))

    def load(self, fetched: Fetched) -> Rows:
        rows = self.of.load(fetched)
        if answer(rows.train) not in ("label", "value"):
            raise InputError(
                f"data.of must have labels or values to deal out, and the rows of {self.of.title} have none"
            )
        return replace(rows, train=self._dealt(rows.train))

    def _dealt(self, rows: datasets.Dataset) -> datasets.Dataset:
        name = str(answer(rows))
        dealt_N = np.random.default_rng(self.seed).permutation(targets(rows))
        return rows.remove_columns(name).add_column(name, dealt_N)  # pyright: ignore[reportCallIssue]
