"""What a table of embeddings knows: which tokens are alike, and a plane on which one can see it.

V tokens, E width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.anatomy import anatomy
from finetune.errors import InputError, one_of
from finetune.transformer.tokenizers import SPACE
from finetune.transformer.tokenizers.word_piece import GOES_ON

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SMALL, FIRST = 100, 40  # tokens: so many are all shown, of more than that so many
BEGINS = f"{SPACE}Ġ"  # what marks the begin of a word, the second of it in bytes


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """Vectors by the names of their tokens, as people look at those of word2vec (arXiv 1301.3781)."""

    tokens: tuple[str, ...]
    table_VE: np.ndarray
    pieces: Callable[[str], Sequence[str]] = lambda text: [text]  # the tokens that a text is read as

    @staticmethod
    def of(model: PreTrainedModel, tokenizer: Any) -> View:
        """The input embeddings of a model, without those of tokens that only have a meaning to it.

        Raises:
            InputError: it reads no text.
        """
        check_text(model)
        table_VE = model.get_input_embeddings().weight.detach().float().cpu().numpy()  # pyright: ignore
        special = set(tokenizer.all_special_ids)
        ids = [token for token in range(min(len(tokenizer), len(table_VE))) if token not in special]
        names = dict(zip(ids, _plain(tokenizer.convert_ids_to_tokens(ids)), strict=True))

        def pieces(text: str) -> list[str]:
            read = tokenizer(text, add_special_tokens=False)["input_ids"]
            return [names.get(token) or tokenizer.convert_ids_to_tokens(token) for token in read]

        return View(tokens=tuple(names.values()), table_VE=table_VE[ids], pieces=pieces)

    def token(self, word: str) -> str:
        """The token that a word is: of that name, or the only one that it is read as.

        Raises:
            InputError: there is none, or the word is several.
        """
        if word in self.tokens:
            return word
        read = self.pieces(word)
        if len(read) == 1 and read[0] in self.tokens:
            return read[0]
        several = f"{word[:60]!r} is read as {len(read)} tokens, {' · '.join(read[:9])}: " if len(read) > 1 else ""
        raise InputError(f"{several}{one_of('token', word, self.tokens)}")

    def first(self) -> tuple[str, ...]:
        """All tokens, if they are few; else the first words among them: where one was trained, the frequent ones."""
        if len(self.tokens) <= SMALL:
            return self.tokens
        bare = {token: token.lstrip(BEGINS) for token in self.tokens}
        words = [token for token in self.tokens if len(bare[token]) > 1 and bare[token].isalpha()]
        begin = [token for token in words if bare[token] != token]
        return tuple((begin if len(begin) >= FIRST else words or self.tokens)[:FIRST])

    def nearest(self, token: str, count: int = 5) -> list[tuple[str, float]]:
        """The tokens whose vectors point the most like this one's, with their cosines, itself not among them.

        Raises:
            InputError: no such token, or none asked for.
        """
        if count < 1:
            raise InputError(f"the number of neighbours must be at least 1, got {count}")
        own = self._index(token)
        cosines_V = self._directions @ self._directions[own]
        order = [index for index in np.argsort(-cosines_V, kind="stable").tolist() if index != own]
        return [(self.tokens[index], float(cosines_V[index])) for index in order[:count]]

    def plane(self, tokens: Sequence[str] | None = None) -> tuple[np.ndarray, float]:
        """Where tokens lie (V, 2) on the plane that keeps the most of how they differ (PCA), and the share it keeps.

        Raises:
            InputError: no such token, or fewer than three.
        """
        from sklearn.decomposition import PCA

        rows_VE = self.table_VE if tokens is None else self.table_VE[[self._index(token) for token in tokens]]
        if len(rows_VE) < 3:
            raise InputError(f"a plane needs at least 3 tokens, got {len(rows_VE)}")
        fitted = PCA(n_components=2, svd_solver="full").fit(rows_VE)
        return fitted.transform(rows_VE), float(fitted.explained_variance_ratio_.sum())

    @cached_property
    def _directions(self) -> np.ndarray:
        return self.table_VE / np.maximum(np.linalg.norm(self.table_VE, axis=1, keepdims=True), 1e-12)

    def _index(self, word: str) -> int:
        return self.tokens.index(self.token(word))


def check_text(model: PreTrainedModel) -> None:
    """
    Raises:
        InputError: a model has no embeddings of tokens.
    """
    if (reads := anatomy(model).reads) != "text":
        raise InputError(f"a {model.config.model_type} reads {reads}s: it has no embeddings of tokens")


def _plain(tokens: Sequence[str]) -> tuple[str, ...]:
    """Where words begin with a mark, without it, and what goes on a word with one, as BERT's have it."""
    if not any(token.startswith(SPACE) and token.strip(SPACE) for token in tokens):
        return tuple(tokens)
    plain = tuple(map(_named, tokens))
    return plain if len(set(plain)) == len(plain) else tuple(tokens)


def _named(token: str) -> str:
    if not token.strip(SPACE):
        return token
    return token.removeprefix(SPACE) if token.startswith((SPACE, GOES_ON)) else f"{GOES_ON}{token}"
