"""What is shown of an input is what the model read of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from finetune import InputError, Recipe
from finetune.look import opened
from finetune.seen import LONGEST, SeenImage, SeenText, see, words


def text(recipe: Recipe, given: str | None) -> SeenText:
    seen = see(opened(recipe), given)
    assert isinstance(seen, SeenText)
    return seen


def bytewise() -> PreTrainedTokenizerFast:
    vocabulary = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner)


def test_a_word_piece_loses_its_mark_and_nothing_else() -> None:
    vocabulary = {"[UNK]": 0, "token": 1, "##ization": 2, "##": 3, "#": 4}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.WordPiece()
    assert words(PreTrainedTokenizerFast(tokenizer_object=inner), [1, 2, 4, 0]) == ("token", "ization", "#", "[UNK]")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("a b", ("a", "␣", "b")),
        ("é", ("·", "é")),
        ("한\n", ("·", "·", "한", "↵")),
        ("🙂", ("·", "·", "·", "🙂")),
        ("a\N{REPLACEMENT CHARACTER}b", ("a", "·", "·", "·", "b")),
    ],
)
def test_bytes_are_shown_as_the_character_they_make(given: str, wanted: tuple[str, ...]) -> None:
    tokenizer = bytewise()
    assert words(tokenizer, tokenizer(given).input_ids) == wanted


def test_a_character_cut_off_is_a_dot() -> None:
    tokenizer = bytewise()
    assert words(tokenizer, tokenizer("x한").input_ids[:-1]) == ("x", "·", "·")


def test_the_first_test_row_is_seen_where_nothing_is_given(toy: Callable[[str], Recipe]) -> None:
    recipe = toy("bert")
    seen = text(recipe, None)
    here = opened(recipe)
    wanted = here.examples()["test"].batch(np.array([0])).inputs
    assert torch.equal(seen.inputs["input_ids"], wanted["input_ids"])
    assert seen.said == f"test row test-0, {len(seen.tokens)} tokens"
    assert seen.tokens == ("[CLS]", *here.splits().test[0]["text"].split(), "[SEP]")


def test_a_text_longer_than_the_model_is_cut_and_that_is_said(toy: Callable[[str], Recipe]) -> None:
    seen = text(toy("bert"), "cat " * 100)
    assert len(seen.tokens) == 64
    assert seen.said == "the text, cut to 64 tokens"


def test_a_model_that_reads_without_end_is_shown_only_so_much(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    import json
    import shutil

    from finetune import Local

    recipe = toy("llama")
    assert isinstance(recipe.checkpoint, Local)
    folder = tmp_path / "long"
    shutil.copytree(recipe.checkpoint.folder, folder)
    for name, field in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(settings | {field: 4096}))
    seen = text(replace(recipe, checkpoint=Local(str(folder))), "cat " * 1000)
    assert len(seen.tokens) == LONGEST
    assert seen.said == f"the text, cut to {LONGEST} tokens"


def test_tokens_of_the_tokenizers_own_have_no_place_in_the_text_and_unknown_words_have(
    toy: Callable[[str], Recipe],
) -> None:
    seen = text(toy("bert"), "cat zebra")
    assert seen.tokens == ("[CLS]", "cat", "[UNK]", "[SEP]")
    weights = torch.tensor([[0.0, 0, 0, 0], [0.9, 0, 0.1, 0], [0, 0.2, 0, 0.8], [0, 0, 0, 1]])
    assert seen.greatest(weights) == "[UNK] → cat 0.20"
    assert float(seen.reach(weights)) == 1
    assert text(toy("bert"), "").greatest(torch.eye(2)) == "–"


def test_an_image_is_shown_as_the_model_sees_it(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (40, 30), (200, 30, 60)).save(path)
    seen = see(opened(toy("vit")), str(path))
    assert isinstance(seen, SeenImage)
    assert (seen.rows, seen.columns, seen.said) == (4, 4, f"{path}, 4 × 4 patches")
    assert seen.image_YXC.shape == (16, 16, 3)
    assert np.abs(seen.image_YXC * 255 - (200, 30, 60)).max() < 1


def test_patches_are_the_last_tokens_row_by_row(toy: Callable[[str], Recipe]) -> None:
    seen = see(opened(toy("deit")), None)  # with two tokens before them
    weights = torch.zeros(18, 18)
    weights[0, 2 + 4 * 1 + 3] = 0.5
    assert seen.greatest(weights) == "row 2, column 4 0.50"
    assert seen.panel(weights)[1, 3] == 0.5


@pytest.mark.parametrize("given", ["missing.png", "text.png"])
def test_an_image_that_cannot_be_read_is_named(toy: Callable[[str], Recipe], tmp_path: Path, given: str) -> None:
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=f"this recipe reads images, and '.*{given}' is no readable one"):
        see(opened(toy("vit")), str(tmp_path / given))
