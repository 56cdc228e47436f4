"""Texts as token ids on disk: made once for rows and a tokenizer, and read a batch at a time.

A million rows cost their lengths and labels of memory, and start as fast as a thousand.

N examples of a batch, T tokens of the longest among them.
"""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from finetune.cache import ENCODED, keeping, kept_dir
from finetune.data import targets
from finetune.encode import Batch, Examples
from finetune.errors import InputError
from finetune.hashing import content_key

if TYPE_CHECKING:
    import datasets

FORMAT = 2  # counts up when what is stored changes
ROWS = 1000  # tokenised together
FACTS = "facts.json"  # written last: where it is, everything else is


class Texts(Examples):
    """Token ids of all examples, end to end in one file for each column that the model reads."""

    def __init__(self, folder: Path, pad: int, max_length: int, key: str) -> None:
        self.folder, self.pad, self.max_length, self.key = folder, pad, max_length, key
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        self.columns: list[str] = facts["columns"]
        self.targets, self.lengths = np.load(folder / "targets.npy"), np.load(folder / "lengths.npy")
        self.cut: Collection[int] = np.load(folder / "cut.npy").tolist()
        self.reached = reached = np.load(folder / "reached.npy")
        self.largest = int(reached.max())
        self.ends = np.cumsum(self.lengths)

    @cached_property
    def ids(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleMethodOverride]  (read once, as a property is)
        return [name.decode() for name in np.load(self.folder / "ids.npy").tolist()]

    def batch(self, indices: np.ndarray, multiple: int = 1) -> Batch:
        lengths = self.lengths[indices]
        longest = min(-(-int(lengths.max()) // multiple) * multiple, self.max_length)
        inputs = {}
        for name in self.columns:
            # opened for each batch: what was read of it does not stay in memory
            flat = np.memmap(self.folder / name, dtype=np.int32, mode="r")
            padded_NT = np.full((len(indices), longest), self.pad if name == "input_ids" else 0, dtype=np.int64)
            for row, (end, length) in enumerate(zip(self.ends[indices].tolist(), lengths.tolist(), strict=True)):
                padded_NT[row, :length] = flat[end - length : end]
            inputs[name] = torch.from_numpy(padded_NT)
        mask_NT = torch.from_numpy(np.arange(longest) < lengths[:, None])
        inputs["attention_mask"] = mask_NT.long()
        return Batch(inputs=inputs, targets=torch.from_numpy(self.targets[indices]))


def texts(rows: Callable[[], datasets.Dataset], tokenizer: Any, max_length: int, key: str) -> Texts:
    """The rows as token ids: as they were found before, else tokenised now.

    Args:
        rows: asked for only where they are needed.
        key: names the rows' content; empty for rows of the moment, which are forgotten with what is returned.
    """
    whole = content_key(FORMAT, key, _identity(tokenizer), tokenizer.pad_token_id, max_length)
    pad = int(tokenizer.pad_token_id)
    if not key:
        scratch = Path(mkdtemp())
        _write(scratch, rows(), tokenizer, max_length)
        found = Texts(scratch, pad, max_length, whole)
        weakref.finalize(found, shutil.rmtree, scratch, ignore_errors=True)
        return found
    folder = kept_dir(ENCODED) / whole
    if not (folder / FACTS).is_file():
        with keeping(folder) as scratch:
            _write(scratch, rows(), tokenizer, max_length)
    return Texts(folder, pad, max_length, whole)


def _identity(tokenizer: Any) -> str:
    """All that a tokenizer is; how long its last texts were allowed to be is not."""
    if getattr(tokenizer, "backend_tokenizer", None) is None:  # one that is written in Python, of one family
        return f"{tokenizer.name_or_path} {json.dumps(tokenizer.get_vocab(), sort_keys=True)}"
    whole = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps({name: part for name, part in whole.items() if name not in ("truncation", "padding")})


def _write(folder: Path, rows: datasets.Dataset, tokenizer: Any, max_length: int) -> None:
    """Tokenise rows a portion at a time, each going to disk before the next."""
    lengths, cut, ids, reached = [], [], [], np.array([tokenizer.pad_token_id])
    used: dict[str, bool] = {}
    with ExitStack() as files:
        opened: dict[str, Any] = {}
        for start in range(0, len(rows), ROWS):
            portion = rows[start : start + ROWS]
            encoded, too_long = tokenize(tokenizer, portion, max_length)
            for name, columns in encoded.items():
                flat = np.concatenate([np.asarray(each, dtype=np.int32) for each in columns])
                if name not in opened:
                    opened[name] = files.enter_context((folder / name).open("wb"))
                flat.tofile(opened[name])
                used[name] = used.get(name, False) or bool(flat.any())
                if name == "input_ids":
                    reached = np.union1d(reached, flat)
            lengths.append(np.array([len(each) for each in encoded["input_ids"]], dtype=np.int32))
            cut.append(start + np.flatnonzero(too_long))
            ids.append(np.array([name.encode() for name in portion["id"]]))
    np.save(folder / "lengths.npy", np.concatenate(lengths))
    np.save(folder / "cut.npy", np.concatenate(cut))
    np.save(folder / "ids.npy", np.concatenate(ids))
    np.save(folder / "reached.npy", reached.astype(np.int64))
    np.save(folder / "targets.npy", targets(rows))
    # a column of zeros (token types of single texts) is what the model assumes when it is not given
    columns = [name for name, some in used.items() if some or name == "input_ids"]
    for name in used.keys() - set(columns):
        (folder / name).unlink()
    (folder / FACTS).write_text(json.dumps({"columns": columns}), encoding="utf-8")


def tokenize(tokenizer: Any, rows: Mapping[str, Any], max_length: int) -> tuple[dict[str, list[list[int]]], list[bool]]:
    """Token ids (and token types, if the model has them) of each row, and which rows were cut.

    A text with no tokens at all, as an empty one is to a decoder, becomes one padding token: there must be one to read.
    """
    texts = (rows["text"], rows.get("text_pair"))
    options = {"return_attention_mask": False, "verbose": False}  # its warning says less than the count of what was cut
    encoded = tokenizer(*texts, truncation=False, **options)
    cut = [len(ids) > max_length for ids in encoded["input_ids"]]
    if any(cut):
        encoded = tokenizer(*texts, truncation=True, max_length=max_length, **options)
    nothing = {"input_ids": [tokenizer.pad_token_id]}
    return {name: [ids or nothing.get(name, [0]) for ids in values] for name, values in encoded.items()}, cut


def unknown(tokenizer: Any, texts: Sequence[str]) -> list[tuple[int, int]]:
    """Of each text how many tokens are the one for what a tokenizer does not know, and of how many.

    Tokens that mark where a text begins and ends are not counted. To a tokenizer of bytes nothing is unknown: it has no
    such token, or calls the end of a text so, as GPT-2's does.
    """
    ids = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    lost = None if tokenizer.unk_token_id == tokenizer.eos_token_id else tokenizer.unk_token_id
    return [(each.count(lost), len(each)) for each in ids]


def known(found: Texts, vocabulary: int, name: str) -> Texts:
    """The texts, which a model of so many tokens can read.

    Raises:
        InputError: it cannot.
    """
    if found.largest >= vocabulary:
        raise InputError(
            f"the tokenizer of {name} makes token {found.largest}, the model knows {vocabulary}: they do not belong "
            "together"
        )
    return found


def longest_text(tokenizer: Any, positions: int | None, wanted: int | None) -> int:
    """How many tokens of a text are read: what is wanted, and never more than the model has positions for.

    Raises:
        InputError: more are wanted than there are.
    """
    limits = [limit for limit in (positions, tokenizer.model_max_length) if limit and limit < 10**9]
    limit = min(limits, default=512)
    if wanted is not None and not 2 <= wanted <= limit:
        raise InputError(f"task.max_length must be between 2 and the model's {limit}, got {wanted}")
    return wanted or limit
