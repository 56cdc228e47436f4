"""Token ids on disk: the same as the tokenizer makes them, made once, and rows that are not asked for twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import tiny

from finetune import texts as module
from finetune.cache import ENCODED, kept_dir
from finetune.texts import Texts, texts, unknown
from finetune.transformer.tokenizers.byte_pair import BytePair
from finetune.transformer.tokenizers.characters import Characters

pytestmark = pytest.mark.usefixtures("own_cache")


def rows(count: int) -> datasets.Dataset:
    words = ("cat", "dog horse", "sheep one two three four five", "")
    columns = {"id": [f"row-{number}" for number in range(count)], "text": [words[n % 4] for n in range(count)]}
    return datasets.Dataset.from_dict({**columns, "label": [number % 3 for number in range(count)]})


def never() -> datasets.Dataset:
    pytest.fail("the rows were asked for again")


@pytest.fixture
def tokenizer() -> Any:
    return tiny.tokenizer("bert")


@pytest.mark.parametrize("portion", [1, 3, 1000])
def test_a_batch_is_what_the_tokenizer_makes_of_its_rows(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    monkeypatch.setattr(module, "ROWS", portion)
    found = texts(lambda: rows(7), tokenizer, 5, "k")
    wanted = np.array([6, 0, 2, 3])
    batch = found.batch(wanted)
    expected = tokenizer(
        [rows(7)["text"][number] for number in wanted], truncation=True, max_length=5, padding=True, return_tensors="pt"
    )
    assert batch.inputs["input_ids"].tolist() == expected["input_ids"].tolist()
    assert batch.inputs["attention_mask"].tolist() == expected["attention_mask"].tolist()
    assert batch.targets.tolist() == [0, 0, 2, 0]
    assert found.cut == [2, 6]
    assert list(found.ids) == [f"row-{number}" for number in range(7)]
    assert (len(found), found.tokens) == (7, int(found.lengths.sum()))


def test_what_was_encoded_once_is_read_without_its_rows(tokenizer: Any) -> None:
    first = texts(lambda: rows(9), tokenizer, 5, "k")
    again = texts(never, tokenizer, 5, "k")
    assert again.batch(np.arange(9)).inputs["input_ids"].equal(first.batch(np.arange(9)).inputs["input_ids"])
    assert again.key == first.key


@pytest.mark.parametrize("change", [{"key": "other"}, {"max_length": 6}])
def test_other_rows_and_another_limit_are_encoded_anew(tokenizer: Any, change: dict[str, Any]) -> None:
    asked = {"key": "k", "max_length": 5}
    first = texts(lambda: rows(4), tokenizer, **asked)
    assert texts(lambda: rows(8), tokenizer, **asked | change).key != first.key
    assert len(list(kept_dir(ENCODED).iterdir())) == 2


def test_an_encoding_that_was_cut_short_is_made_again(tokenizer: Any) -> None:
    folder = texts(lambda: rows(4), tokenizer, 5, "k").folder
    (folder / module.FACTS).unlink()  # it is written last
    (folder / "input_ids").write_bytes(b"")
    assert texts(lambda: rows(4), tokenizer, 5, "k").batch(np.arange(4)).inputs["input_ids"].shape == (4, 5)


def test_texts_without_a_key_leave_nothing_behind(tokenizer: Any) -> None:
    found = texts(lambda: rows(4), tokenizer, 5, "")
    folder = found.folder
    assert folder.is_dir()
    del found
    assert not folder.exists()
    assert not kept_dir(ENCODED).exists()


def test_unknown_tokens_are_counted_and_the_ends_of_a_text_are_not(tokenizer: Any) -> None:
    assert unknown(tokenizer, ["cat zebra", "", "zebra gnu", "cat dog"]) == [(1, 2), (0, 0), (2, 2), (0, 2)]
    assert unknown(Characters().train(["cat"]), ["tax", "나"]) == [(1, 3), (1, 1)]


def test_nothing_is_unknown_to_a_tokenizer_of_bytes() -> None:
    tokenizer = BytePair(size=300).train(["cat"])
    for token in (tokenizer.unk_token, None, tokenizer.eos_token):  # GPT-2's is the end of a text
        tokenizer.unk_token = token
        ((lost, count),) = unknown(tokenizer, ["나 </s>"])
        assert (lost, count) == (0, 5)


def test_reading_a_batch_keeps_no_file_in_memory(tokenizer: Any) -> None:
    found = texts(lambda: rows(4), tokenizer, 5, "k")
    found.batch(np.arange(4))
    assert str(found.folder) not in Path("/proc/self/maps").read_text()


def test_a_run_of_encoded_rows_does_not_read_the_data(
    toy: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetune.data.toy import ToyText
    from finetune.session import session

    before = session(toy("bert"))
    examples, facts = before.examples(), before.facts()
    monkeypatch.setattr(ToyText, "load", lambda *_: never())
    here = session(toy("bert"))
    assert here.facts() == facts
    train = here.examples()["train"]
    assert isinstance(train, Texts)
    assert list(train.ids) == list(examples["train"].ids)
