"""Spans by hand: what conlleval's rules make of tags, and the F1 and the share of right words that come of it."""

from __future__ import annotations

import numpy as np
import pytest

from finetune import spans

NAMES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", []),
        ("B-PER I-PER O B-LOC", [(0, 2, "PER"), (3, 4, "LOC")]),
        ("B-PER B-PER", [(0, 1, "PER"), (1, 2, "PER")]),  # side by side, of one kind
        ("O I-PER I-PER", [(1, 3, "PER")]),  # an I that nothing goes before begins one
        ("I-PER", [(0, 1, "PER")]),
        ("B-PER I-LOC", [(0, 1, "PER"), (1, 2, "LOC")]),  # and so does one of another kind
        ("I-PER B-PER I-PER", [(0, 1, "PER"), (1, 3, "PER")]),
        ("B-PER O I-PER", [(0, 1, "PER"), (2, 3, "PER")]),
        ("B-a-b I-a-b", [(0, 2, "a-b")]),  # a kind may have hyphens of its own
    ],
)
def test_spans_are_those_that_conlleval_counts(tags: str, expected: list[tuple[int, int, str]]) -> None:
    assert spans.spans(tags.split()) == expected


@pytest.mark.parametrize(
    ("labels", "are"),
    [
        (NAMES, True),
        (("B-PER", "I-PER"), True),
        (("NOUN", "VERB", "O"), False),
        (("O", "B-PER", "E-PER"), False),
        (("O",), False),
        (("O", "B-"), False),
    ],
)
def test_tags_of_spans_are_told_from_others(labels: tuple[str, ...], *, are: bool) -> None:
    assert spans.are_tags(labels) is are


def test_f1_is_over_the_spans_of_all_sentences_together() -> None:
    known = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC", "O"], ["O", "O"]]
    told = [["B-PER", "I-PER", "O", "B-PER"], ["O", "I-LOC", "O"], ["B-PER", "O"]]
    found = spans.f1(known, told)
    # three there are, four were told, and two are the same: the one by its other kind, the last by nothing, are not
    assert found.value == pytest.approx(2 * 2 / (3 + 4))
    assert found.n == 3
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_a_span_of_other_words_is_another_one() -> None:
    assert spans.f1([["B-PER", "I-PER"]], [["B-PER", "O"]]).value == 0.0
    assert spans.f1([["B-PER", "I-PER"]], [["B-PER", "B-PER"]]).value == 0.0


def test_where_there_is_nothing_to_find_f1_is_none_and_no_error() -> None:
    assert spans.f1([["O"], ["O"]], [["O"], ["O"]]).value == 0.0
    assert spans.f1([["B-PER"], ["O"]], [["O"], ["O"]]).value == 0.0


def test_words_are_counted_together_and_their_interval_is_over_sentences() -> None:
    whole = spans.accuracy(np.array([10, 0] * 50), np.array([10, 10] * 50))
    assert (whole.value, whole.n) == (0.5, 100)
    assert whole.low is not None
    assert whole.high is not None
    assert whole.high - whole.low > 0.15  # of a thousand words each for itself it would be 0.06


def test_what_is_all_right_is_as_sure_as_there_are_sentences_and_no_surer() -> None:
    for n, least in ((20, 0.80), (2000, 0.997)):
        found = spans.f1([["B-PER", "O"]] * n, [["B-PER", "O"]] * n)
        assert (found.value, found.high, found.n) == (1.0, 1.0, n)
        assert found.low is not None
        assert least < found.low < 1.0
    nothing = spans.accuracy(np.zeros(20), np.full(20, 5))
    assert nothing.high is not None
    assert (nothing.value, nothing.low) == (0.0, 0.0)
    assert 0.1 < nothing.high < 0.2
