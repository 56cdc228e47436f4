"""What a task makes of rows' inputs: token ids of texts, or images; or why a checkpoint reads none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from finetune.anatomy import of_architecture
from finetune.checkpoint import Weights
from finetune.encode import Examples
from finetune.errors import InputError
from finetune.hashing import content_key
from finetune.images import Images, side
from finetune.loading import load_config, load_image_processor, load_tokenizer
from finetune.texts import Texts, known, longest_text, texts

if TYPE_CHECKING:
    import datasets
    from transformers import PretrainedConfig

Rows = Callable[[], "datasets.Dataset"]  # asked for only where they are needed


def reads(config: PretrainedConfig) -> Literal["text", "image"]:
    """What a checkpoint takes in; of an architecture without an entry nothing is known, and that is an error."""
    return of_architecture(config.model_type).reads


def encoded(rows: Rows, weights: Weights, key: str, *, max_length: int | None, image_size: int | None) -> Examples:
    """What the checkpoint's model reads of the rows.

    Args:
        key: names the rows' content; empty for rows of the moment, of which nothing is kept.
        max_length: tokens of a text; None: as many as the model can.
        image_size: side in pixels that images are resized to; None: as the checkpoint's processor does.

    Raises:
        InputError: it reads something else, or not so much of it.
    """
    config = load_config(weights)
    kind = reads(config)

    def readable() -> datasets.Dataset:
        found = rows()
        held = "image" if "image" in found.column_names else "text"
        if held != kind:
            raise InputError(f"checkpoint {weights.name} ({config.model_type}) reads {kind}s, the data holds {held}s")
        return found

    for field, of, given in (("max_length", "text", max_length), ("image_size", "image", image_size)):
        if of != kind and given is not None:
            raise InputError(
                f"task.{field} is of {of}s and has no meaning for checkpoint {weights.name}, which reads {kind}s; "
                f"leave it none, got {given}"
            )
    if kind == "image":
        return _images(readable(), config, weights, key, image_size)
    return _texts(readable, config, weights, key, max_length)


def _images(rows: datasets.Dataset, config: PretrainedConfig, weights: Weights, key: str, size: int | None) -> Images:
    processor = load_image_processor(weights)
    pixels, patch = side(processor, size), config.patch_size
    if pixels != config.image_size and not of_architecture(config.model_type).any_size:
        raise InputError(f"task.image_size must be {config.image_size} for this {config.model_type}, got {pixels}")
    if pixels % patch:
        near = [each for each in (pixels // patch * patch, pixels // patch * patch + patch) if each]
        raise InputError(
            f"task.image_size must be a multiple of the {patch} pixels of a patch of this {config.model_type}, "
            f"got {pixels}; the nearest {'are' if len(near) > 1 else 'is'} {' and '.join(map(str, near))}"
        )
    key = content_key(key, processor.to_json_string(), size)
    return Images(rows, processor, size, (pixels // patch) ** 2 + 1, key)


def _texts(rows: Rows, config: PretrainedConfig, weights: Weights, key: str, wanted: int | None) -> Texts:
    tokenizer = load_tokenizer(weights)
    length = longest_text(tokenizer, getattr(config, "max_position_embeddings", None), wanted)
    return known(texts(rows, tokenizer, length, key), config.vocab_size, weights.name)
