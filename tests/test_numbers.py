"""Numbers and dates: endless, the same for everyone, and no value on two sides of a split."""

from __future__ import annotations

import datetime
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from finetune import InputError, Split
from finetune.data import Data
from finetune.data.dates import Dates
from finetune.data.numbers import Numbers
from finetune.progress import Silent

SMALL = Numbers(below=2000, train=60, test=20)
DAYS = Dates(locale="ko", train=60, test=20)


def rows(data: Data) -> dict[str, dict[str, list[Any]]]:
    found = data.load(data.fetch(Silent()))
    assert found.labels == ()
    assert found.test is not None
    return {"train": found.train[:], "test": found.test[:]}


def test_a_number_in_spanish_is_the_same_in_english() -> None:
    from num2words import num2words

    found = rows(Numbers(train=300))["train"]
    for number, source, target in zip(found["id"], found["text"], found["target"], strict=True):
        assert source == num2words(int(number), lang="es")
        assert target == num2words(int(number), lang="en")


def test_of_other_languages_there_are_numbers_too() -> None:
    korean, german = (rows(Numbers(source=each, below=60, train=20, test=10)) for each in ("ko", "de"))
    assert set("".join(korean["train"]["text"])) <= set("영일이삼사오육칠팔구십")
    assert "und" in "".join(german["train"]["text"])


@pytest.mark.parametrize("data", [SMALL, DAYS], ids=["numbers", "dates"])
def test_no_value_is_in_two_splits_or_twice_in_one(data: Data) -> None:
    splits = Split().cut(data.load(data.fetch(Silent())))
    parts = [splits[name]["id"][:] for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len({name for part in parts for name in part}) == 80
    assert splits.test_rows_in_train == 0


@pytest.mark.parametrize("data", [SMALL, DAYS], ids=["numbers", "dates"])
def test_the_same_seed_gives_the_same_rows_and_another_others(data: Any) -> None:
    assert rows(data) == rows(data)
    assert set(rows(data)["test"]["id"]) != set(rows(replace(data, seed=1))["test"]["id"])
    sums = {each.fetch(Silent()).sha256 for each in (data, replace(data, seed=1), replace(data, train=61))}
    assert len(sums) == 3


@pytest.mark.parametrize("data", [SMALL, DAYS], ids=["numbers", "dates"])
def test_more_training_rows_are_added_to_those_there_were(data: Any) -> None:
    fewer, more = rows(data), rows(replace(data, train=70))
    assert more["test"] == fewer["test"]
    assert more["train"]["id"][:60] == fewer["train"]["id"]


def test_short_sources_train_and_the_test_stays_what_it_is() -> None:
    free, bound = rows(SMALL), rows(replace(SMALL, longest=3))
    assert bound["test"] == free["test"]
    assert max(bound["train"]["length"]) == 3 < max(bound["test"]["length"])
    assert free["test"]["length"] == [len(text.split()) for text in free["test"]["text"]]
    assert not set(bound["train"]["id"]) & set(bound["test"]["id"])


def test_drawn_over_digits_every_number_of_digits_from_three_on_is_as_frequent() -> None:
    test = rows(Numbers(below=10**7, train=60, test=2000, even=True))["test"]
    counts = Counter(map(len, test["id"]))
    assert set(counts) == {3, 4, 5, 6, 7}
    assert counts.pop(3) > 300  # of 900 that there are
    assert max(counts.values()) < 1.25 * min(counts.values())
    plain = Counter(map(len, rows(Numbers(below=10**7, train=60, test=2000))["test"]["id"]))
    assert plain[7] > 1700


def test_a_choice_that_came_later_leaves_the_hash_of_numbers_from_before_there_was_one() -> None:
    assert "even" not in repr(SMALL)
    even = replace(SMALL, even=True)
    assert even.fetch(Silent()).sha256 != SMALL.fetch(Silent()).sha256
    assert rows(even)["test"] != rows(SMALL)["test"]


def test_korean_numbers_are_as_long_as_they_have_characters() -> None:
    test = rows(Numbers(source="ko", train=60, test=20))["test"]
    assert test["length"] == [len(text.replace(" ", "")) for text in test["text"]]


def test_where_too_few_numbers_are_short_it_says_how_many_there_are() -> None:
    with pytest.raises(InputError, match=r"data\.longest leaves \d+ of the first \d+ numbers, which have at most 1 wo"):
        rows(replace(SMALL, longest=1))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"train": 40, "test": 20, "below": 100}, "are 60 different numbers together; they must be at most half of d"),
        ({"train": 0}, "data.train must be at least 1, got 0"),
        ({"below": 1000, "train": 40, "test": 20, "even": True}, "data.even needs data.below above 1000, got 1000"),
        ({"longest": 0}, "data.longest must be at least 1 or none, got 0"),
        ({"seed": -1}, "data.seed must be in [0, 2**32), got -1"),
    ],
)
def test_numbers_that_cannot_be_are_refused(fields: dict[str, int], words: str) -> None:
    with pytest.raises(InputError) as error:
        Numbers(**fields)  # pyright: ignore[reportArgumentType]
    assert words in str(error.value)


def test_a_language_that_nobody_spells_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown language of data\.source 'ess'; did you mean 'es'\?"):
        Numbers(source="ess").fetch(Silent())
    with pytest.raises(InputError, match=r"unknown language of data\.target 'english'; .*known: "):
        Numbers(target="english").fetch(Silent())


def test_a_date_is_its_iso_form_and_every_style_occurs() -> None:
    from babel.dates import format_date

    found = rows(Dates(locale="es", train=60, test=20))["train"]
    styles = set()
    for text, target in zip(found["text"], found["target"], strict=True):
        day = datetime.date.fromisoformat(target)
        styles |= {style for style in ("medium", "long", "full") if format_date(day, style, locale="es") == text}
    assert styles == {"medium", "long", "full"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"first": 2000, "last": 1999}, "must be years from 1000 to 9999, got 2000, 1999"),
        ({"first": 2024, "last": 2024, "train": 300, "test": 67}, "from 2024 to 2024 there are 366"),
        ({"test": 0}, "data.test must be at least 1, got 0"),
    ],
)
def test_dates_that_cannot_be_are_refused(fields: dict[str, int], words: str) -> None:
    with pytest.raises(InputError) as error:
        Dates(**fields)  # pyright: ignore[reportArgumentType]
    assert words in str(error.value)


def test_a_locale_that_there_is_not_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown locale of data\.locale 'ko_KRR'; did you mean 'ko_KR'\?"):
        Dates(locale="ko_KRR").fetch(Silent())


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "num2words", None)
    with pytest.raises(InputError, match=r'data\.numbers needs the package \'num2words\': pip install "finetune\[not'):
        Numbers().fetch(Silent())


def test_classes_cannot_be_counted_where_there_are_none() -> None:
    with pytest.raises(
        InputError, match=r"split\.per_class is of labels, and these rows have none: leave it none, got"
    ):
        Split(per_class=2).cut(SMALL.load(SMALL.fetch(Silent())))
