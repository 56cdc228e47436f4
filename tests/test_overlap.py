"""Scores of texts: the libraries' own numbers, with intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from finetune import overlap, resampling, stats

REFERENCES = ["the cat sat on the mat", "two dogs ran home today", "it rains", "nobody was there at all"] * 5
TEXTS = ["the cat sat on a mat", "two dogs ran home today", "it snows now", "all was there"] * 5


def test_bleu_and_chrf_are_sacrebleus() -> None:
    assert overlap.bleu(REFERENCES, TEXTS).value == pytest.approx(
        sacrebleu.corpus_bleu(TEXTS, [REFERENCES]).score / 100
    )
    assert overlap.chrf(REFERENCES, TEXTS).value == pytest.approx(
        sacrebleu.corpus_chrf(TEXTS, [REFERENCES]).score / 100
    )


def test_their_intervals_are_those_of_sacrebleus_own_bootstrap() -> None:
    for ours, theirs in ((overlap.bleu, sacrebleu.BLEU()), (overlap.chrf, sacrebleu.CHRF())):
        found = ours(REFERENCES, TEXTS)
        score = theirs.corpus_score(TEXTS, [REFERENCES], n_bootstrap=1000)
        assert found.low is not None
        assert found.high is not None
        assert (found.high - found.low) / 2 == pytest.approx(score._ci / 100, rel=0.1)
        assert found.n == 20


def test_rouge_is_rouge_scores() -> None:
    scorer = RougeScorer(overlap.ROUGE)
    for name, found in overlap.rouge(REFERENCES, TEXTS).items():
        each = [scorer.score(one, other)[name].fmeasure for one, other in zip(REFERENCES, TEXTS, strict=True)]
        assert found.tolist() == each


def test_words_of_any_alphabet_count() -> None:
    assert overlap.rouge(["나는 간다"], ["나는 온다"])["rouge1"].tolist() == [0.5]
    assert overlap.rouge(["el niño"], ["el nino"])["rouge1"].tolist() == [0.5]


def test_a_word_counts_where_the_reference_has_it_and_too_many_count_against() -> None:
    assert overlap.in_place(["a b c d"], ["a b x d"]).value == 0.75
    assert overlap.in_place(["a b"], ["a b c d"]).value == 0.5
    assert overlap.in_place(["2024-03-05"], ["2024-05-05"]).value == 0.8
    assert overlap.in_place(["a b"], [""]).value == 0.0


def test_exact_is_to_the_letter() -> None:
    assert overlap.exact(["a", "b", "c "], ["a", "B", "c"]).tolist() == [True, False, False]


def test_an_interval_of_one_text_does_not_exist() -> None:
    assert overlap.bleu(REFERENCES[:1], TEXTS[:1]).low is None


def test_the_interval_of_a_mean_of_counts_is_students() -> None:
    rng = np.random.default_rng(0)
    values_N1 = rng.integers(0, 10, size=(400, 1))
    found = resampling.resampled(float(values_N1.mean()), values_N1, lambda sums_K: float(sums_K[0]) / 400, 1000)
    students = stats.mean(values_N1[:, 0])
    assert found.low == pytest.approx(students.low, abs=0.05)
    assert found.high == pytest.approx(students.high, abs=0.05)
