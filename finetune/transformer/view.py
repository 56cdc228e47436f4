"""What a table of embeddings knows: which tokens are alike, and a plane on which one can see it.

V tokens, E width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.errors import InputError, one_of
from finetune.transformer.tokenizers import SPACE

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """Vectors by the names of their tokens, as people look at those of word2vec (arXiv 1301.3781)."""

    tokens: tuple[str, ...]
    table_VE: np.ndarray

    @staticmethod
    def of(model: PreTrainedModel, tokenizer: Any) -> View:
        """The input embeddings of a model, without those of tokens that only have a meaning to it."""
        table_VE = model.get_input_embeddings().weight.detach().float().cpu().numpy()  # pyright: ignore
        special = set(tokenizer.all_special_ids)
        ids = [token for token in range(min(len(tokenizer), len(table_VE))) if token not in special]
        return View(tokens=_plain(tokenizer.convert_ids_to_tokens(ids)), table_VE=table_VE[ids])

    def nearest(self, token: str, count: int = 5) -> list[tuple[str, float]]:
        """The tokens whose vectors point the most like this one's, with their cosines, itself not among them.

        Raises:
            InputError: no such token, or none asked for.
        """
        if count < 1:
            raise InputError(f"the number of neighbours must be at least 1, got {count}")
        own = self._index(token)
        unit_VE = self.table_VE / np.maximum(np.linalg.norm(self.table_VE, axis=1, keepdims=True), 1e-12)
        cosines_V = unit_VE @ unit_VE[own]
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

    def _index(self, token: str) -> int:
        if token not in self.tokens:
            raise one_of("token", token, self.tokens)
        return self.tokens.index(token)


def _plain(tokens: Sequence[str]) -> tuple[str, ...]:
    """Without the mark that a word begins there, where every word begins with it and that tells none from another."""
    plain = tuple(token.removeprefix(SPACE) for token in tokens)
    return plain if all(plain) and len(set(plain)) == len(plain) else tuple(tokens)
