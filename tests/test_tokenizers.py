"""Tokenizers that are trained: what they read comes back, and what they never saw is what they say it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, T5Config

from finetune import InputError, axes
from finetune.transformer import tokenizers
from finetune.transformer.coverage import coverage
from finetune.transformer.tokenizers import Tokenizer, written
from finetune.transformer.tokenizers.byte_pair import BytePair
from finetune.transformer.tokenizers.characters import Characters
from finetune.transformer.tokenizers.jamo import Jamo
from finetune.transformer.tokenizers.word_piece import WordPiece
from finetune.transformer.tokenizers.words import Words

TEXTS = [
    "나는 학교에 간다. ㅋㅋㅋ 값이 없다!",
    "삼십이만 천이백삼",
    "treinta y dos, ¿qué? El niño cayó.",
    "thirty-two  thousand,\none (1) hundred",
    " a space before, and one after ",
    "",
]
ALL: list[Tokenizer] = [Characters(), Words(), Jamo(), BytePair(size=400), WordPiece(size=400)]


def names(found: Any) -> str:
    return type(found).__name__


def tokens(tokenizer: Any, text: str) -> list[str]:
    return tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False)["input_ids"])


def back(tokenizer: Any, text: str) -> str:
    return written(tokenizer, [tokenizer(text)["input_ids"]])[0]


def test_every_tokenizer_is_held_to_the_contract() -> None:
    assert set(axes.every(tokenizers, Tokenizer)) == {type(each) for each in ALL}


@pytest.mark.parametrize("kind", ALL, ids=names)
def test_korean_spanish_and_english_come_back_to_the_letter(kind: Tokenizer) -> None:
    tokenizer = kind.train(TEXTS)
    assert [back(tokenizer, text) for text in TEXTS] == TEXTS


@pytest.mark.parametrize("kind", ALL, ids=names)
def test_the_first_tokens_are_those_of_the_contract_and_stand_around_a_text(kind: Tokenizer) -> None:
    tokenizer = kind.train(TEXTS)
    assert tokenizer.convert_ids_to_tokens(range(4)) == ["<pad>", "<unk>", "<s>", "</s>"]
    assert tokenizer("")["input_ids"] == [2, 3]
    together = tokenizer(["niño", "niño niño"], padding=True)["input_ids"]
    assert [each[0] for each in together] == [2, 2]
    assert together[0][-1] == tokenizer.pad_token_id == 0
    assert together[1][-1] == tokenizer.eos_token_id == 3


@pytest.mark.parametrize("kind", ALL, ids=names)
def test_saved_and_loaded_it_cuts_and_writes_alike(kind: Tokenizer, tmp_path: Path) -> None:
    tokenizer = kind.train(TEXTS)
    tokenizer.save_pretrained(tmp_path)
    T5Config().save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    assert again(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
    assert [back(again, text) for text in TEXTS] == TEXTS


@pytest.mark.parametrize("kind", ALL, ids=names)
def test_the_same_texts_twice_make_the_same_tokens(kind: Tokenizer) -> None:
    assert kind.train(TEXTS).get_vocab() == kind.train(iter(TEXTS)).get_vocab()


def test_a_korean_syllable_is_its_letters() -> None:
    tokenizer = Jamo().train([])
    assert "".join(tokens(tokenizer, "나는")) == "ㄴㅏㄴㅡㄴ"
    assert "".join(tokens(tokenizer, "값이")) == "ㄱㅏㅄㅇㅣ"


def test_every_modern_syllable_comes_back_from_its_letters_alone_and_beside_others() -> None:
    tokenizer = Jamo().train([])
    syllables = "".join(map(chr, range(0xAC00, 0xD7A4)))
    assert len(syllables) == 11172
    for text in (syllables, syllables[::-1], "".join(f"{one}{syllables[-n]}" for n, one in enumerate(syllables))):
        assert back(tokenizer, text) == text


@pytest.mark.parametrize("text", ["ㅋㅋㅋ", "나ㄴ", "ㄴㅏ", "안ㅏ", "난", "ㅏㄴㅏ각ㄱ", "ㄳㅏ"])
def test_letters_that_stand_alone_are_no_syllable_when_they_come_back(text: str) -> None:
    assert back(Jamo().train([]), text) == text


def test_text_in_another_of_unicodes_forms_comes_back_composed() -> None:
    assert back(Jamo().train(["é"]), "\u1102\u1161e\u0301".replace("e\u0301", "é")) == "나é"
    assert back(Characters().train(["ABCe\u0301"]), "e\u0301") == "é"


@pytest.mark.parametrize(
    ("kind", "known", "cut"),
    [
        (Characters(), "abc", ["a", "<unk>", "b"]),
        (Jamo(), "abc", ["a", "<unk>", "b"]),
        (WordPiece(size=20), "abc", ["<unk>"]),
        (Words(), "abc", ["<unk>"]),
    ],
    ids=["characters", "jamo", "word_piece", "words"],
)
def test_what_the_texts_do_not_hold_is_unknown(kind: Tokenizer, known: str, cut: list[str]) -> None:
    assert tokens(kind.train([known]), "axb") == cut


def test_nothing_is_unknown_to_pairs_of_bytes() -> None:
    tokenizer = BytePair(size=300).train(["abc"])
    assert back(tokenizer, "나는 ñandú 🙂") == "나는 ñandú 🙂"


def test_only_the_most_frequent_words_are_tokens() -> None:
    tokenizer = Words(size=6).train(["one two two one two three"])
    assert tokens(tokenizer, "one two three") == ["▁one", "▁two", "<unk>"]


@pytest.mark.parametrize(
    ("kind", "least"), [(Words, 5), (WordPiece, 5), (BytePair, 260)], ids=["words", "word_piece", "byte_pair"]
)
def test_a_vocabulary_too_small_for_what_must_be_in_it_is_refused(kind: Any, least: int) -> None:
    with pytest.raises(InputError, match=rf"checkpoint\.tokenizer\.size must be at least {least}, got {least - 1}"):
        kind(size=least - 1)


def test_coverage_counts_tokens_characters_and_texts() -> None:
    found = coverage(Words().train(["uno dos"]), ["uno dos", "uno tres"])
    assert found.vocabulary == 6
    assert found.length.value == pytest.approx(4 / 15)
    assert found.unknown.value == pytest.approx(1 / 4)
    assert found.covered.value == pytest.approx(10 / 15)  # " tres" is lost, its space with it
    assert (found.exact.value, found.exact.n) == (0.5, 2)


def test_of_korean_letters_are_more_tokens_than_characters_and_all_are_known() -> None:
    train, test = ["나는 학교에 간다"], ["너는 집에 온다"]
    letters, whole = (coverage(kind.train(train), test) for kind in (Jamo(), Characters()))
    assert letters.unknown.value == 0.0
    assert letters.exact.value == 1.0
    assert whole.unknown.value > 0.3
    assert letters.length.value > 2 * whole.length.value
