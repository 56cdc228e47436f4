"""A view of embeddings shows who is near whom, and where."""

from __future__ import annotations

import numpy as np
import pytest

from finetune import InputError, TextEncoder
from finetune.transformer.systems import Vocabulary
from finetune.transformer.tokenizers.words import Words
from finetune.transformer.view import View

TOKENS = ("one", "two", "cat", "dog")
LETTERS = [one + other for one in "abcdefg" for other in "abcdefg"]  # more than are shown
TABLE = np.array([[1.0, 0.0, 0.1], [2.0, 0.1, 0.0], [0.0, 1.0, 0.0], [0.1, 3.0, 0.1]])


def test_the_nearest_is_who_points_the_same_way_however_far() -> None:
    view = View(tokens=TOKENS, table_VE=TABLE)
    assert [token for token, _ in view.nearest("cat", 2)] == ["dog", "two"]
    token, cosine = view.nearest("one", 1)[0]
    assert token == "two"
    assert cosine == pytest.approx(TABLE[0] @ TABLE[1] / np.linalg.norm(TABLE[0]) / np.linalg.norm(TABLE[1]))


def test_the_plane_keeps_what_differs_most() -> None:
    view = View(tokens=TOKENS, table_VE=TABLE)
    places, kept = view.plane()
    assert places.shape == (4, 2)
    assert 0.99 < kept <= 1
    apart = np.linalg.norm(places[0] - places[1]), np.linalg.norm(places[0] - places[3])
    assert apart[0] < apart[1]
    assert view.plane(["one", "cat", "dog"])[0].shape == (3, 2)


def test_it_is_of_a_models_own_tokens() -> None:
    from finetune.transformer import models

    tokenizer = Words().train(["cat dog", "dog two"])
    vocabulary = Vocabulary(size=len(tokenizer), pad=0, start=2, end=3)
    model = models.model(TextEncoder(width=8, heads=2, layers=1, inner=8), vocabulary)
    view = View.of(model, tokenizer)
    assert set(view.tokens) == {"cat", "dog", "two"}
    row = model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("▁dog")]  # pyright: ignore
    assert np.array_equal(view.table_VE[view.tokens.index("dog")], row.detach().numpy())


def named(*tokens: str) -> tuple[str, ...]:
    """What a view calls the tokens of a model that has them all."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    from finetune.transformer import models

    known = {token: number for number, token in enumerate(("<unk>", *tokens))}
    pipeline = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token="<unk>"))
    vocabulary = Vocabulary(size=len(known), pad=0, start=0, end=0)
    model = models.model(TextEncoder(width=8, heads=2, layers=1, inner=8), vocabulary)
    return View.of(model, PreTrainedTokenizerFast(tokenizer_object=pipeline, unk_token="<unk>")).tokens


def test_a_word_and_the_same_letters_within_one_have_different_names() -> None:
    assert named("▁two", "two", "▁thirty", "-") == ("two", "##two", "thirty", "##-")
    assert named("cat", "##cat", "-") == ("cat", "##cat", "-")
    assert named("▁two", "two", "##two") == ("▁two", "two", "##two")  # two would be called alike
    assert named("▁", "▁two", "Ġcat") == ("▁", "two", "##Ġcat")


def test_a_word_is_the_token_that_it_is_read_as_and_several_are_none() -> None:
    read = {"Cat": ["cat"], "cats": ["cat", "##s"], "bird": ["<unk>"]}
    view = View(tokens=("cat", "##s", "cut"), table_VE=TABLE[:3], pieces=lambda text: read[text])
    assert view.token("Cat") == "cat"
    assert view.token("##s") == "##s"
    assert view.nearest("Cat", 1) == view.nearest("cat", 1)
    with pytest.raises(InputError, match="'cats' is read as 2 tokens, cat · ##s: unknown token 'cats'; did you mean"):
        view.token("cats")
    with pytest.raises(InputError, match="^unknown token 'bird'; known: ##s, cat, cut$"):
        view.token("bird")


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        ([f"w{letter}" for letter in LETTERS], ["a", "12", "##ab"]),  # words, before what is none
        ([f"Ġw{letter}" for letter in LETTERS], ["wa", "Ġ", "Ġ!"]),  # what begins a word, before what goes on
    ],
)
def test_of_many_tokens_the_first_words_are_shown_and_of_few_all(first: list[str], rest: list[str]) -> None:
    tokens = (*rest, *first, *(f"{number}" for number in range(100)))
    view = View(tokens=tokens, table_VE=np.ones((len(tokens), 2)))
    assert view.first() == tuple(first[:40])
    few = View(tokens=tokens[:100], table_VE=np.ones((100, 2)))
    assert few.first() == tokens[:100]


def test_of_many_that_are_no_words_the_first_are_shown() -> None:
    tokens = tuple(map(str, range(101)))
    assert View(tokens=tokens, table_VE=np.ones((101, 2))).first() == tokens[:40]


def test_what_it_does_not_know_is_said() -> None:
    view = View(tokens=TOKENS, table_VE=TABLE)
    with pytest.raises(InputError, match="unknown token 'cot'; did you mean 'cat'"):
        view.nearest("cot")
    with pytest.raises(InputError, match="number of neighbours must be at least 1, got 0"):
        view.nearest("cat", 0)
    with pytest.raises(InputError, match="a plane needs at least 3 tokens, got 2"):
        view.plane(["cat", "dog"])
