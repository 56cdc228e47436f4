"""A view of embeddings shows who is near whom, and where."""

from __future__ import annotations

import numpy as np
import pytest

from finetune import InputError, TextEncoder
from finetune.transformer.systems import Vocabulary
from finetune.transformer.tokenizers.words import Words
from finetune.transformer.view import View

TOKENS = ("one", "two", "cat", "dog")
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


def test_what_it_does_not_know_is_said() -> None:
    view = View(tokens=TOKENS, table_VE=TABLE)
    with pytest.raises(InputError, match="unknown token 'cot'; did you mean 'cat'"):
        view.nearest("cot")
    with pytest.raises(InputError, match="number of neighbours must be at least 1, got 0"):
        view.nearest("cat", 0)
    with pytest.raises(InputError, match="a plane needs at least 3 tokens, got 2"):
        view.plane(["cat", "dog"])
