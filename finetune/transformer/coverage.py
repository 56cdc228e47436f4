"""What a tokenizer makes of texts: how long they become, how much of them it knows, and whether they come back."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finetune import stats
from finetune.stats import Estimate
from finetune.transformer.tokenizers import written


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Of a tokenizer over N texts, each share with its interval over them."""

    vocabulary: int
    length: Estimate  # tokens for each character
    unknown: Estimate  # share of the tokens that are unknown ones
    covered: Estimate  # share of the characters that are in known tokens
    exact: Estimate  # share of the texts that come back as they were, in Unicode's composed form


def coverage(tokenizer: Any, texts: Sequence[str]) -> Coverage:
    """What a tokenizer makes of the texts; the tokens that mark their ends are not counted."""
    read = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
    ids, places, unknown = read["input_ids"], read["offset_mapping"], tokenizer.unk_token_id
    tokens_N = np.array([len(each) for each in ids])
    unknown_N = np.array([each.count(unknown) for each in ids])
    characters_N = np.array([len(text) for text in texts])
    lost_N = np.array([_lost(*each, unknown) for each in zip(ids, places, strict=True)])
    back = zip(written(tokenizer, ids), texts, strict=True)
    return Coverage(
        vocabulary=len(tokenizer),
        length=stats.rate(tokens_N, characters_N),
        unknown=stats.rate(unknown_N, tokens_N),
        covered=stats.rate(characters_N - lost_N, characters_N),
        exact=stats.proportion(sum(one == unicodedata.normalize("NFC", text) for one, text in back), len(texts)),
    )


def _lost(ids: Sequence[int], places: Sequence[tuple[int, int]], unknown: int) -> int:
    """How many characters are in unknown tokens."""
    spans = [range(*place) for token, place in zip(ids, places, strict=True) if token == unknown]
    return len(set().union(*spans))
