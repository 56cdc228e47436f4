"""One text or image: what a model reads of it, and what people see in it.

T tokens, R and C rows and columns of an image's patches, C channels, Y and X pixels.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import datasets
import numpy as np
import torch
from PIL import Image
from tokenizers import decoders
from torch import Tensor

from finetune.attention import similarity
from finetune.attention.maps import reach
from finetune.errors import InputError
from finetune.loading import load_config, load_image_processor, load_tokenizer
from finetune.session import Session

LONGEST = 512  # tokens: the weights of a text need memory for the square of its length
BROKEN = "\N{REPLACEMENT CHARACTER}"  # what a part of a character decodes to
VISIBLE = {" ": "␣", "\n": "↵", "\r": "↵", "\t": "⇥"}  # what stands for a token of nothing else
BYTES = 4  # of a character, at most


class Seen(ABC):
    """An input. Weights are those of its tokens, (T, T)."""

    inputs: Mapping[str, Tensor]  # of a batch of one
    said: str  # what it is, in a line
    unit: str  # what distances count
    drawn: str  # what a panel shows

    @abstractmethod
    def looking(self, weights_TT: Tensor) -> Tensor:
        """Those of the queries and keys that are shown."""

    @abstractmethod
    def panel(self, weights_TT: Tensor) -> np.ndarray:
        """They as they are drawn."""

    @abstractmethod
    def reach(self, weights_TT: Tensor) -> Tensor:
        """The mean distance of query and key, of those that have a place in the input."""

    @abstractmethod
    def greatest(self, weights_TT: Tensor, sign: str = "") -> str:
        """Who looks at whom with the greatest weight, of different tokens that have a place in the input.

        Args:
            sign: a plus, where one is to be shown.
        """


@dataclass(frozen=True, kw_only=True)
class SeenText(Seen):
    """Every token looks."""

    inputs: Mapping[str, Tensor]
    said: str
    tokens: tuple[str, ...]  # as people know them
    special: tuple[bool, ...]  # put there by the tokenizer: without a place in the text

    unit, drawn = "tokens", "rows look at columns"

    @cached_property
    def apart(self) -> Tensor:
        special_T = torch.tensor(self.special)
        return similarity.line(len(self.tokens)).masked_fill(special_T | special_T[:, None], torch.nan)

    def looking(self, weights_TT: Tensor) -> Tensor:
        return weights_TT

    def panel(self, weights_TT: Tensor) -> np.ndarray:
        return weights_TT.numpy()

    def reach(self, weights_TT: Tensor) -> Tensor:
        return reach(weights_TT, self.apart)

    def greatest(self, weights_TT: Tensor, sign: str = "") -> str:
        others_TT = self.apart > 0
        if not others_TT.any():
            return "–"
        query, key = divmod(int(weights_TT.abs().masked_fill(~others_TT, -1).argmax()), len(self.tokens))
        return f"{self.tokens[query]} → {self.tokens[key]} {float(weights_TT[query, key]):{sign}.2f}"


@dataclass(frozen=True, kw_only=True)
class SeenImage(Seen):
    """The first token looks, which stands for the whole image; patches are the last R · C tokens, row by row."""

    inputs: Mapping[str, Tensor]
    said: str
    image_YXC: np.ndarray  # as the model sees it, numbers from 0 to 1
    rows: int
    columns: int

    unit, drawn = "patches", "where the first token looks, which stands for the whole"

    @property
    def patches(self) -> int:
        return self.rows * self.columns

    def looking(self, weights_TT: Tensor) -> Tensor:
        return weights_TT[:1, -self.patches :]

    def panel(self, weights_TT: Tensor) -> np.ndarray:
        return self.looking(weights_TT).view(self.rows, self.columns).numpy()

    def reach(self, weights_TT: Tensor) -> Tensor:
        return reach(weights_TT[-self.patches :, -self.patches :], similarity.plane(self.rows, self.columns))

    def greatest(self, weights_TT: Tensor, sign: str = "") -> str:
        shown_RC = self.looking(weights_TT).view(self.rows, self.columns)
        row, column = divmod(int(shown_RC.abs().argmax()), self.columns)
        return f"row {row + 1}, column {column + 1} {float(shown_RC[row, column]):{sign}.2f}"


def see(here: Session, given: str | None) -> Seen:
    """What a recipe's model reads of a text, or of the image at a path; None: of the recipe's first test row.

    Raises:
        InputError: the image cannot be read, or the recipe reads neither.
    """
    rows = here.splits().test.select([0])
    name = f"test row {rows[0]['id']}" if given is None else "the text"
    if given is not None:
        rows = _replaced(rows, given)
    examples = here.recipe.task.encode(lambda: rows, here.weights, "")
    inputs = examples.batch(np.array([0])).to(here.accelerator.device, torch.float32).inputs
    if "pixel_values" in inputs:
        return _image(here, inputs, given or name)
    read = inputs["input_ids"].shape[1]
    kept = {name: each[:, :LONGEST] for name, each in inputs.items()}
    tokenizer, ids = load_tokenizer(here.weights), kept["input_ids"][0].tolist()
    own = {*tokenizer.all_special_ids} - {tokenizer.unk_token_id}  # an unknown word is one of the text's
    return SeenText(
        inputs=kept,
        said=f"{name}, {'cut to ' if examples.truncated or read > LONGEST else ''}{len(ids)} tokens",
        tokens=words(tokenizer, ids),
        special=tuple(id_ in own for id_ in ids),
    )


def words(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """Each token as people know it: no mark of where words begin, bytes as the characters they are.

    Where several tokens make one character, the last of them has it and those before a dot.
    """
    decoder = getattr(tokenizer.backend_tokenizer, "decoder", None)
    if isinstance(decoder, decoders.WordPiece):
        return tuple(token.removeprefix(decoder.prefix) for token in tokenizer.convert_ids_to_tokens(ids))
    found: list[str] = []
    pending: list[int] = []
    for id_ in ids:
        pending = [*pending[1 - BYTES :], id_]
        text = tokenizer.decode(pending, clean_up_tokenization_spaces=False)
        whole = not text.endswith(BROKEN)
        found.append(_visible(text.lstrip(BROKEN)) if whole else "·")
        pending = [] if whole else pending
    return tuple(found)


def _visible(text: str) -> str:
    return text.strip() or "".join(VISIBLE.get(letter, letter) for letter in text) or "·"


def _replaced(rows: datasets.Dataset, given: str) -> datasets.Dataset:
    """The row with another text, or another image."""
    columns = {name: value for name, value in rows[:].items() if name != "text_pair"}
    if "image" in columns:
        return datasets.Dataset.from_dict(columns | {"image": [_open(given)]}).cast_column("image", datasets.Image())
    if "words" in columns:
        return datasets.Dataset.from_dict({"id": columns["id"], "words": [given.split()]})
    if "text" not in columns:
        raise InputError(f"this recipe's rows hold {', '.join(columns)} and no text to put yours in: leave it out")
    return datasets.Dataset.from_dict(columns | {"text": [given]})


def _open(path: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return image.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"this recipe reads images, and {path!r} is no readable one: {error}") from error


def _image(here: Session, inputs: Mapping[str, Tensor], said: str) -> SeenImage:
    processor, patch = load_image_processor(here.weights), load_config(here.weights).patch_size
    pixels_CYX = inputs["pixel_values"][0].cpu().float()
    if processor.do_normalize:
        mean_C11, deviation_C11 = (
            torch.tensor(each).view(-1, 1, 1) for each in (processor.image_mean, processor.image_std)
        )
        pixels_CYX = pixels_CYX * deviation_C11 + mean_C11
    rows, columns = (side // patch for side in pixels_CYX.shape[1:])
    return SeenImage(
        inputs=inputs,
        said=f"{said}, {rows} × {columns} patches",
        image_YXC=pixels_CYX.permute(1, 2, 0).clamp(0, 1).numpy(),
        rows=rows,
        columns=columns,
    )
