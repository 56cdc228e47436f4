"""How far texts agree with references: to the letter, word by word, BLEU, chrF and ROUGE, each with its interval.

`sacrebleu` and `rouge-score` count (of the extra `notes`), so that a number here is the one that others report. All are
shares: BLEU and chrF of 100 are 1.

N texts, K counts of each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from finetune import resampling, stats
from finetune.extras import imported
from finetune.stats import Estimate

DRAWS = 1000  # of a bootstrap; each is computed by itself
ROUGE = ("rouge1", "rouge2", "rougeL")


def exact(references: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """(N,): whether each is its reference, to the letter."""
    return np.array([text == reference for text, reference in zip(texts, references, strict=True)], dtype=bool)


def in_place(references: Sequence[str], texts: Sequence[str], groups_N: np.ndarray | None = None) -> Estimate:
    """The share of words and signs that stand where the reference has them, of as many as the longer of the two has."""
    pairs = [(_words(text), _words(reference)) for text, reference in zip(texts, references, strict=True)]
    hits_N = np.array([sum(one == other for one, other in zip(*pair, strict=False)) for pair in pairs])
    return stats.rate(hits_N, np.array([max(map(len, pair)) for pair in pairs]), groups_N)


def bleu(references: Sequence[str], texts: Sequence[str], groups_N: np.ndarray | None = None) -> Estimate:
    """BLEU of all texts together (Papineni and others 2002), as sacrebleu has it by default."""
    return _corpus(imported("sacrebleu.metrics", "BLEU").BLEU(), references, texts, groups_N)


def chrf(references: Sequence[str], texts: Sequence[str], groups_N: np.ndarray | None = None) -> Estimate:
    """chrF of all texts together (Popović 2015), as sacrebleu has it by default: of characters, so of any language."""
    return _corpus(imported("sacrebleu.metrics", "chrF").CHRF(), references, texts, groups_N)


def rouge(references: Sequence[str], texts: Sequence[str], kinds: Sequence[str] = ROUGE) -> dict[str, np.ndarray]:
    """ROUGE-1, -2 and -L (Lin 2004): F1 of each text (N,), as rouge-score has it without stems.

    Words are what is between spaces and signs in any alphabet; rouge-score's own see English alone.
    """
    scorer = imported("rouge_score.rouge_scorer", "ROUGE").RougeScorer(kinds, tokenizer=_Alphabets())
    found = [scorer.score(reference, text) for text, reference in zip(texts, references, strict=True)]
    return {name: np.array([each[name].fmeasure for each in found]) for name in kinds}


class _Alphabets:
    """What rouge-score asks to cut texts."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[^\W_]+", text.lower())


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def _corpus(metric: Any, references: Sequence[str], texts: Sequence[str], groups_N: np.ndarray | None) -> Estimate:
    """A score that is computed of sums of counts over texts, with its percentile bootstrap over them (Koehn 2004)."""
    value = float(metric.corpus_score(list(texts), [list(references)]).score) / 100
    counts_NK = np.array(metric._extract_corpus_statistics(list(texts), [list(references)]))

    def score(sums_K: np.ndarray) -> float:
        return float(metric._compute_score_from_stats(sums_K.tolist()).score) / 100

    return resampling.resampled(value, counts_NK, score, DRAWS, groups_N)
