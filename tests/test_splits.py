"""Which rows train, choose and test."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from finetune import InputError, Split
from finetune.data import Rows, to_rows

LABELS = ("common", "rare", "single")


def rows(count: int = 1000, test: int = 0, group: bool = False) -> Rows:
    labels = ["single"] + ["rare"] * (count // 20) + ["common"] * (count - 1 - count // 20)
    columns = {"id": [f"r{n}" for n in range(count)], "text": [f"t{n}" for n in range(count)], "label": labels}
    if group:
        columns["group"] = [f"film{n % 37}" for n in range(count)]
    held = {"id": [f"x{n}" for n in range(test)], "text": [f"t{n}" for n in range(test)], "label": labels[:test]}
    return Rows(train=to_rows(columns, LABELS), test=to_rows(held, LABELS) if test else None, labels=LABELS)


def test_splits_are_disjoint_and_lose_no_row() -> None:
    cut = Split().cut(rows())
    parts = [set(part["id"]) for part in (cut.train, cut.validation, cut.test)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 1000
    assert [len(part) for part in parts] == [720, 80, 200]


def test_class_shares_are_kept_in_every_split_and_a_class_of_one_row_stays_in_train() -> None:
    cut = Split().cut(rows())
    for part in (cut.train, cut.validation, cut.test):
        assert Counter(part["label"])[1] == pytest.approx(len(part) / 20, abs=1.5)
    assert 2 in cut.train["label"]


def test_a_row_keeps_its_split_when_the_file_is_reordered() -> None:
    whole = rows()
    order = np.random.default_rng(1).permutation(1000)
    shuffled = Rows(train=whole.train.select(order), test=None, labels=LABELS)
    for part in ("train", "validation", "test"):
        assert set(Split().cut(whole)[part]["id"]) == set(Split().cut(shuffled)[part]["id"])


def test_a_smaller_cap_takes_rows_of_the_larger_one_and_leaves_the_test_set_alone() -> None:
    caps = [Split(train_rows=count).cut(rows()) for count in (16, 64, 256)]
    for small, large in itertools.pairwise(caps):
        assert set(small.train["id"]) < set(large.train["id"])
        assert set(small.validation["id"]) <= set(large.validation["id"])
        assert small.test["id"][:] == large.test["id"][:]
    assert [len(cap.train) for cap in caps] == [16, 64, 256]


def test_rows_of_one_group_are_never_on_two_sides() -> None:
    cut = Split().cut(rows(group=True))
    films = [set(part["group"]) for part in (cut.train, cut.validation, cut.test)]
    assert not films[0] & films[1]
    assert not films[0] & films[2]
    assert not films[1] & films[2]
    assert 150 <= len(cut.test) <= 200


def test_one_group_too_large_for_a_split_leaves_it_to_smaller_ones() -> None:
    films = ["long"] * 400 + [f"film{n // 5}" for n in range(200)]
    columns = {"id": [f"r{n}" for n in range(600)], "text": ["t"] * 600, "label": ["common"] * 600, "group": films}
    for seed in range(8):
        cut = Split(seed=seed).cut(Rows(train=to_rows(columns, LABELS), test=None, labels=LABELS))
        assert 0 < len(cut.validation) <= 60
        assert "long" in cut.train["group"]


def test_an_official_test_set_is_used_whole_and_its_repeats_of_train_are_counted() -> None:
    cut = Split().cut(rows(test=40))
    assert len(cut.test) == 40
    assert cut.test_rows_in_train == len(set(cut.test["text"]) & set(cut.train["text"])) > 0


def test_another_split_seed_chooses_other_rows() -> None:
    assert set(Split(seed=1).cut(rows()).test["id"]) != set(Split(seed=2).cut(rows()).test["id"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"validation": 1.5}, r"split.validation is a share of the rows and must be in \(0, 1\), got 1.5"),
        ({"train_rows": 0}, "split.train_rows must be at least 1, got 0"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(fields: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Split(**fields)  # pyright: ignore[reportArgumentType]


def test_too_few_rows_to_divide_are_refused() -> None:
    with pytest.raises(InputError, match="split is empty: 4 rows .* are too few"):
        Split().cut(rows(4))


def test_a_cap_on_each_class_takes_as_many_of_all_and_the_rows_of_a_small_one_are_among_those_of_a_large_one() -> None:
    caps = [Split(per_class=count).cut(rows()) for count in (4, 16)]
    assert [dict(Counter(cap.train["label"])) for cap in caps] == [{0: 4, 1: 4, 2: 1}, {0: 16, 1: 16, 2: 1}]
    assert set(caps[0].train["id"]) < set(caps[1].train["id"])
    assert [len(cap.validation) for cap in caps] == [1, 4]  # a ninth, as of all rows
    assert caps[0].test["id"][:] == Split().cut(rows()).test["id"][:]


def test_a_cap_on_all_rows_also_holds_where_there_is_one_on_each_class() -> None:
    assert len(Split(per_class=16, train_rows=10).cut(rows()).train) == 10


def test_of_a_closed_test_set_there_are_no_rows_and_the_others_stay_where_they_are() -> None:
    closed, opened = Split(test_rows=0).cut(rows()), Split().cut(rows())
    assert len(closed.test) == 0
    for part in ("train", "validation"):
        assert closed[part]["id"][:] == opened[part]["id"][:]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("per_class", 0, "split.per_class must be at least 1, got 0"),
        ("test_rows", -1, "split.test_rows must be at least 1, or 0 for a closed test set, got -1"),
    ],
)
def test_a_cap_of_nothing_is_refused(field: str, value: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Split(**{field: value})
