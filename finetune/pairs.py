"""Sources and the texts that they are to become, as token ids on disk, laid out as what writes reads them.

N examples of a batch, S tokens of the longest source among them, T of the longest target with its end.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from finetune.augmentations import Augmentation, Tokens
from finetune.cache import ENCODED, keeping, kept_dir
from finetune.encode import Batch, Examples
from finetune.hashing import content_key
from finetune.texts import Texts, texts

if TYPE_CHECKING:
    import datasets

NOTHING = -100  # a target that the loss leaves out, as torch calls it
WRITTEN = "written.json"


class Reader:
    """A tokenizer as it reads sources: each with something before it."""

    def __init__(self, tokenizer: Any, before: str = "") -> None:
        self.tokenizer, self.before = tokenizer, before

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def __call__(self, given: Sequence[str], _: None = None, **options: Any) -> dict[str, list[list[int]]]:
        return self.tokenizer([self.before + text for text in given], **options)


class Writer(Reader):
    """A tokenizer as it reads targets: without the token that a decoder starts with, and with an end."""

    def __init__(self, tokenizer: Any, before: str = "", start: int | None = None) -> None:
        super().__init__(tokenizer, before)
        self.start = start

    def __call__(
        self, given: Sequence[str], _: None = None, *, truncation: bool, max_length: int | None = None, **options: Any
    ) -> dict[str, list[list[int]]]:
        said = self.tokenizer(text_target=[self.before + text for text in given], **options)["input_ids"]
        return {"input_ids": [self._closed(ids, max_length if truncation else None) for ids in said]}

    def _closed(self, ids: list[int], most: int | None) -> list[int]:
        end = self.tokenizer.eos_token_id
        ids = ids[1:] if ids[:1] == [self.start] else ids
        ids = ids[:-1] if ids[-1:] == [end] else ids
        return [*ids[: None if most is None else most - 1], end]


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """What rows tell people: of N of them the targets as they are written, and how long the sources are, if that."""

    references: np.ndarray
    measured: np.ndarray | None


class Pairs(Examples):
    """Sources beside their targets, for an encoder–decoder: it reads the one, and the other one token late."""

    def __init__(self, source: Texts, target: Texts, told: Told, start: int) -> None:
        self.source: Examples = source
        self.target, self.start = target, start
        self.targets, self.measured = told.references, told.measured
        self.lengths = source.lengths + target.lengths
        self.cut: Collection[int] = sorted({*source.cut, *target.cut})
        self.key = content_key(source.key, target.key)

    @property
    def ids(self) -> Sequence[str]:
        return self.source.ids

    @property
    def terms(self) -> np.ndarray:
        return self.target.lengths

    def augmented(self, augmentation: Augmentation, tokens: Tokens | None) -> Pairs:
        """Sources alone are drawn anew: what is to be said of them stays what it is."""
        return self._of(self.source.augmented(augmentation, tokens))

    def drawn(self, seed: int, epoch: int) -> Pairs:
        return self._of(self.source.drawn(seed, epoch))

    def _of(self, source: Examples) -> Pairs:
        """The same with other sources in place of these, each as long as it was."""
        found = copy.copy(self)
        found.source = source
        return found

    def batch(self, indices: np.ndarray, multiple: int = 1) -> Batch:
        inputs = dict(self.source.batch(indices, multiple).inputs)
        said_NT, targets_NT = self._said(indices, multiple)
        first_N1 = torch.full((len(indices), 1), self.start)
        return Batch(
            inputs={**inputs, "decoder_input_ids": torch.cat([first_N1, said_NT[:, :-1]], dim=1)}, targets=targets_NT
        )

    def _said(self, indices: np.ndarray, multiple: int) -> tuple[Tensor, Tensor]:
        """(N, T) twice: the target's ids with padding after them, and with nothing there."""
        inputs = self.target.batch(indices, multiple).inputs
        ids_NT = inputs["input_ids"]
        return ids_NT, ids_NT.masked_fill(inputs["attention_mask"] == 0, NOTHING)


class Continued(Pairs):
    """The same for a decoder alone: source, what stands between, and target are one text.

    Padding is before the source, so that every target of a batch begins in one column, where generation begins too.
    """

    def __init__(self, source: Texts, target: Texts, told: Told, between: Sequence[int]) -> None:
        super().__init__(source, target, told, start=-1)
        self.between = list(between)
        self.lengths = self.lengths + len(self.between)
        self.key = content_key(self.key, *self.between)

    def batch(self, indices: np.ndarray, multiple: int = 1) -> Batch:
        prompt_NS, mask_NS = self._prompt(indices, multiple)
        said_NT, targets_NT = self._said(indices, multiple)
        ids = torch.cat([prompt_NS, said_NT[:, :-1]], dim=1)
        mask = torch.cat([mask_NS, (targets_NT[:, :-1] != NOTHING).long()], dim=1)
        inputs = {
            "input_ids": ids,
            "attention_mask": mask,
            "position_ids": (mask.cumsum(dim=1) - 1).clamp(min=0),
            "logits_to_keep": torch.arange(prompt_NS.shape[1] - 1, ids.shape[1]),  # those that say the target
        }
        return Batch(inputs=inputs, targets=targets_NT)

    def _prompt(self, indices: np.ndarray, multiple: int) -> tuple[Tensor, Tensor]:
        """(N, S) ids and mask, the padding first."""
        inputs = self.source.batch(indices, multiple).inputs
        ids_NS, mask_NS = inputs["input_ids"], inputs["attention_mask"]
        length = ids_NS.shape[1]
        moved_NS = (torch.arange(length) + mask_NS.sum(dim=1, keepdim=True)) % length  # as if the row were a ring
        between = torch.tensor(self.between).expand(len(indices), -1)
        return (
            torch.cat([ids_NS.gather(1, moved_NS), between], dim=1),
            torch.cat([mask_NS.gather(1, moved_NS), torch.ones_like(between)], dim=1),
        )


def prompt(batch: Batch) -> dict[str, Tensor]:
    """What of a batch of `Continued` is there before the target: what generation begins with."""
    length = int(batch.inputs["logits_to_keep"][0]) + 1
    return {name: batch.inputs[name][:, :length] for name in ("input_ids", "attention_mask")}


def encoded(
    rows: Callable[[], datasets.Dataset], reader: Reader, writer: Writer, lengths: tuple[int, int], key: str
) -> tuple[Texts, Texts, Told]:
    """Sources and targets as token ids, and what rows tell people of them: as `texts`, once for all runs.

    Args:
        lengths: the most tokens of a source, and of a target with its end.
    """

    def targets() -> datasets.Dataset:
        return _written(rows()).select_columns(["id", "target"]).rename_column("target", "text")

    def named(*parts: object) -> str:
        return content_key(key, *parts) if key else ""

    source = texts(rows, reader, lengths[0], named("source", reader.before) if reader.before else key)
    target = texts(targets, writer, lengths[1], named("target", writer.before, writer.start))
    return source, target, _told(lambda: _written(rows()), named(WRITTEN))


def _written(rows: datasets.Dataset) -> datasets.Dataset:
    """Rows with a target: of rows of the moment nobody knows it."""
    if "target" in rows.column_names:
        return rows
    return rows.add_column("target", [""] * len(rows))  # pyright: ignore[reportCallIssue]


def _told(rows: Callable[[], datasets.Dataset], key: str) -> Told:
    if not key:
        return _read(_columns(rows()))
    folder = kept_dir(ENCODED) / key
    if not (folder / WRITTEN).is_file():
        with keeping(folder) as scratch:
            (scratch / WRITTEN).write_text(json.dumps(_columns(rows()), ensure_ascii=False), encoding="utf-8")
    return _read(json.loads((folder / WRITTEN).read_text(encoding="utf-8")))


def _columns(rows: datasets.Dataset) -> dict[str, list[Any]]:
    found = {"target": rows["target"][:]}
    if getattr(rows.features.get("length"), "dtype", "").startswith("int"):  # else it is something else of the user's
        found["length"] = rows["length"][:]
    return found


def _read(columns: dict[str, list[Any]]) -> Told:
    lengths = columns.get("length", [None])
    measured = None if None in lengths else np.array(lengths, dtype=np.int64)
    return Told(references=np.array(columns["target"], dtype=object), measured=measured)
