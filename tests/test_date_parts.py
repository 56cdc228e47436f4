"""Parts of dates within sentences: each word has its tag, no day is on two sides, and no number gives itself away."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest

from finetune import InputError, Split
from finetune.data import Rows
from finetune.data.date_parts import DateParts
from finetune.progress import Silent
from finetune.spans import are_tags, spans

SMALL = DateParts(train=60, test=20)


def read(data: DateParts) -> Rows:
    return data.load(data.fetch(Silent()))


def tagged(rows: Any, labels: tuple[str, ...]) -> list[tuple[str, list[str], list[str]]]:
    return [(row["id"], row["words"], [labels[tag] for tag in row["tags"]]) for row in rows]


@pytest.mark.parametrize("locale", ["pt", "en", "de", "ko", "vi"])
def test_the_tagged_words_are_the_date_and_in_every_locale(locale: str) -> None:
    from babel.dates import format_date

    found = read(replace(SMALL, locale=locale))
    assert are_tags(found.labels)
    for id_, words, tags in tagged(found.train, found.labels):
        day = datetime.date.fromisoformat(id_)
        ways = ["".join(format_date(day, style, locale=locale).split()) for style in ("medium", "long", "full")]
        assert any(way in "".join(words) for way in ways)
        parts = {kind: " ".join(words[begin:end]) for begin, end, kind in spans(tags)}
        assert len(spans(tags)) == len(parts) in (3, 4)
        assert int(parts["day"]) == day.day
        assert int(parts["year"]) == day.year
        assert parts["month"]


def test_weekdays_and_short_months_are_several_words_where_they_are_written_so() -> None:
    found = read(SMALL)
    assert found.labels == ("B-day", "B-month", "B-weekday", "B-year", "I-month", "I-weekday", "O")
    sentences = [
        " ".join(f"{word}/{tag}" for word, tag in zip(*each[1:], strict=True))
        for each in tagged(found.train, found.labels)
    ]
    assert any("-/I-weekday feira/I-weekday" in sentence for sentence in sentences)
    assert any("/B-month ./I-month" in sentence for sentence in sentences)
    assert read(replace(SMALL, locale="en")).labels == ("B-day", "B-month", "B-weekday", "B-year", "O")


def test_no_day_is_in_two_splits_or_twice_in_one() -> None:
    splits = Split().cut(read(SMALL))
    parts = [splits[name]["id"][:] for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len({name for part in parts for name in part}) == 80
    assert splits.test_rows_in_train == 0


def test_other_numbers_stand_where_days_and_years_do_not() -> None:
    found = read(replace(SMALL, train=400))
    numbers = [
        (int(word), tag)
        for _, words, tags in tagged(found.train, found.labels)
        for word, tag in zip(words, tags, strict=True)
        if word.isdigit()
    ]
    small, large = ([tag for number, tag in numbers if (number > 31) is big] for big in (False, True))
    for tags, part in ((small, "B-day"), (large, "B-year")):
        assert 0.2 < tags.count("O") / len(tags) < 0.8
        assert tags.count(part) + tags.count("O") == len(tags)


def test_the_same_seed_gives_the_same_rows_and_more_are_added_to_those() -> None:
    first, again, more = read(SMALL), read(SMALL), read(replace(SMALL, train=70))
    assert first.train.to_list() == again.train.to_list() == more.train.to_list()[:60]
    sums = {each.fetch(Silent()).sha256 for each in (SMALL, replace(SMALL, seed=1), replace(SMALL, locale="en"))}
    assert len(sums) == 3


def test_a_locale_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match=r"unknown locale of data\.locale 'pt_BRR'; did you mean 'pt"):
        DateParts(locale="pt_BRR").fetch(Silent())
