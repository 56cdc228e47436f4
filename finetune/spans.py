"""Spans of tagged words as conlleval counts them, and how many of them were found.

conlleval is the program that CoNLL's shared tasks were scored with (Tjong Kim Sang and De Meulder 2003); seqeval counts
alike. Its rules are few, and are written out here rather than taken from a library that nobody maintains.

N sentences, K counts of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from finetune import resampling, stats
from finetune.stats import Estimate

OUTSIDE = "O"  # the tag of a word in no span
DRAWS = 1000  # of a bootstrap; each is computed by itself


def are_tags(labels: Sequence[str]) -> bool:
    """Whether these are tags of spans in IOB2: B-kind begins one, I-kind goes on with it, O is in none."""
    return len(set(labels) - {OUTSIDE}) > 0 and all(re.fullmatch(r"O|[BI]-.+", label) for label in labels)


def spans(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """First word, the word after the last, and kind of each span, in their order.

    A span also begins with an I that nothing goes before it, or one of another kind: what a model says is no promise.
    """
    found: list[tuple[int, int, str]] = []
    begin, inside = 0, ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        mark, _, kind = tag.partition("-")
        if inside and (mark != "I" or kind != inside):
            found.append((begin, place, inside))
            inside = ""
        if kind and not inside:
            begin, inside = place, kind
    return found


def f1(known: Sequence[Sequence[str]], told: Sequence[Sequence[str]], groups_N: np.ndarray | None = None) -> Estimate:
    """F1 of the spans of N sentences together; one is found if words and kind are the same. Interval over sentences."""
    counts_NK = np.array([_counts(*pair) for pair in zip(known, told, strict=True)])
    return _resampled(counts_NK, _f1, groups_N)


def accuracy(right_N: np.ndarray, words_N: np.ndarray, groups_N: np.ndarray | None = None) -> Estimate:
    """The share of right words of N sentences together. Its interval is over sentences, whose words are not alone."""
    counts_NK = np.stack([right_N, words_N], axis=1)
    return _resampled(counts_NK, _share, groups_N)


def _resampled(
    counts_NK: np.ndarray, score: Callable[[np.ndarray], float], groups_N: np.ndarray | None = None
) -> Estimate:
    """With a bootstrap over sentences, unless all are right or all wrong: then there is nothing that draws could vary.

    The interval is then that of the share of right sentences (Wilson 1927), which are as sure as their number.
    """
    value, n = score(counts_NK.sum(axis=0)), len(counts_NK)
    if value in (0.0, 1.0) and n > 1:
        return stats.share(np.full(n, value), groups_N)
    return resampling.resampled(value, counts_NK, score, DRAWS, groups_N)


def _counts(known: Sequence[str], told: Sequence[str]) -> tuple[int, int, int]:
    """Of a sentence: spans that were found, were told, and are there."""
    wanted, said = set(spans(known)), set(spans(told))
    return len(wanted & said), len(said), len(wanted)


def _f1(sums_K: np.ndarray) -> float:
    found, told, known = sums_K.tolist()
    return 2 * found / (told + known) if told + known else 0.0


def _share(sums_K: np.ndarray) -> float:
    right, words = sums_K.tolist()
    return right / words
