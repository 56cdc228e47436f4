"""Rows whose labels are somebody else's: whoever learns to tell them apart has seen the answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from finetune.data import Data, Fetched, Rows, answer
from finetune.errors import InputError
from finetune.hashing import content_key
from finetune.progress import Silent


@dataclass(frozen=True, kw_only=True)
class Shuffled(Data):
    """Another data set with the labels, values or tags of what trains dealt out anew: as many of each as before.

    Test rows are those they would be, and keep theirs. A score above that of the majority's label, by more than one
    dealing and another differ, is a leak: which rows get which label by chance has a say in it.
    """

    of: Data
    seed: int = 0

    def reseeded(self, number: int) -> Shuffled:
        return replace(self, seed=self.seed + number)

    @property
    def origin(self) -> Data:
        return self.of.origin

    def elsewhere(self) -> Data | None:
        return self.of.elsewhere()

    def fetch(self, progress: Silent) -> Fetched:
        fetched = self.of.fetch(progress)
        dealt = content_key(fetched.sha256, "dealt after the cut", self.seed)
        return replace(fetched, sha256=dealt, tested=fetched.sha256)  # test rows need no other encoding, nor features

    def load(self, fetched: Fetched) -> Rows:
        rows = self.of.load(fetched)
        if answer(rows.train) not in ("label", "value", "tags"):
            raise InputError(
                f"data.of must have labels, values or tags to deal out, and the rows of {self.of.title} have none"
            )
        return replace(rows, dealt=self.seed)
