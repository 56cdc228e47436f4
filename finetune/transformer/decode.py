"""Saying a text, a token after the other: the likeliest each time, or the best of several beams.

N texts, K beams of a text, k of them that are still alive (the first step has 1), B = N · k rows, V vocabulary,
T tokens said, E width; n texts of N.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from finetune.transformer.systems import Vocabulary

Head = Callable[[Tensor], Tensor]  # (B, E) → logits (B, V)


class Saying(Protocol):
    """A network about to say something: its rows are the beams of one text after the other's."""

    def step(self, ids_B: Tensor, /) -> Tensor:
        """Say one more token each: (B, E), of which come the logits of the next."""
        ...

    def pick(self, rows_B: Tensor, examples_N: Tensor, /) -> None:
        """Go on with these rows, in this order and as often as they are named, about these of the texts."""
        ...


@torch.no_grad()
def greedy(saying: Saying, head: Head, start_N: Tensor, vocabulary: Vocabulary, longest: int) -> Tensor:
    """The likeliest token each time: (N, ≤ longest), the end included, padding behind it.

    A text that has ended is no longer computed; when all have, so has this.

    Args:
        start_N: the first input of each text.
    """
    said_NT = start_N.new_full((len(start_N), longest), vocabulary.pad)
    alive_N, ids_N = torch.arange(len(start_N), device=start_N.device), start_N
    for step in range(longest):
        ids_N = head(saying.step(ids_N)).argmax(-1)
        said_NT[alive_N, step] = ids_N
        on_N = (ids_N != vocabulary.end).nonzero().flatten()
        if not len(on_N):
            return said_NT[:, : step + 1]
        if len(on_N) < len(ids_N):
            alive_N, ids_N = alive_N[on_N], ids_N[on_N]
            saying.pick(on_N, on_N)
    return said_NT


@torch.no_grad()
def beam(
    saying: Saying, head: Head, start_N: Tensor, vocabulary: Vocabulary, longest: int, beams: int, penalty: float = 1.0
) -> Tensor:
    """The best of several ways to go on: (N, ≤ longest), the end included, padding behind it.

    A way is as good as the mean log-probability of its tokens; `penalty` is the power of the length that their sum is
    divided by: 0 prefers the short, more the long. A beam that ends leaves the others one fewer to go on with
    (Sutskever and others 2014, arXiv 1409.3215, section 3.2), so one beam is `greedy`. A text is done when none of its
    beams can still become better than what has ended.
    """
    found, size = Best(start_N, vocabulary.pad, longest), vocabulary.size
    alive_N, left_N = torch.arange(len(start_N), device=start_N.device), torch.full_like(start_N, beams)
    ids_Nk, said_NkT = start_N[:, None], start_N.new_empty(len(start_N), 1, 0)
    sums_Nk = torch.zeros_like(ids_Nk, dtype=torch.float32)
    for step in range(1, longest + 1):
        alive = ids_Nk.shape[1]
        logs_BV = head(saying.step(ids_Nk.flatten())).float().log_softmax(-1)
        totals = (sums_Nk[..., None] + logs_BV.unflatten(0, (-1, alive))).flatten(1)
        sums_Nk, chosen_Nk = totals.topk(min(beams, alive * size))
        from_Nk, ids_Nk = chosen_Nk // size, chosen_Nk % size
        ranks_k = torch.arange(sums_Nk.shape[1], device=ids_Nk.device)
        sums_Nk = sums_Nk.masked_fill(ranks_k >= left_N[:, None], -torch.inf)
        said_NkT = torch.cat([_along(said_NkT, from_Nk), ids_Nk[..., None]], dim=-1)
        ended_Nk = (ids_Nk == vocabulary.end) & sums_Nk.isfinite()
        over_Nk = sums_Nk.isfinite() if step == longest else ended_Nk
        found.take(alive_N, said_NkT, (sums_Nk / step**penalty).masked_fill(~over_Nk, -torch.inf))
        left_N, sums_Nk = left_N - ended_Nk.sum(1), sums_Nk.masked_fill(ended_Nk, -torch.inf)
        # a sum can only fall, and is best divided by the greatest length
        on_N = (sums_Nk.amax(1) / longest**penalty > found.score_N[alive_N]).nonzero().flatten()
        if not len(on_N) or step == longest:
            break
        sums_Nk, order_Nk = sums_Nk[on_N].topk(int(sums_Nk[on_N].isfinite().sum(1).max()))
        from_Nk, ids_Nk = from_Nk[on_N].gather(1, order_Nk), ids_Nk[on_N].gather(1, order_Nk)
        said_NkT = _along(said_NkT[on_N], order_Nk)
        saying.pick((on_N[:, None] * alive + from_Nk).flatten(), on_N)
        alive_N, left_N = alive_N[on_N], left_N[on_N]
    return found.said_NT[:, : found.longest]


class Best:
    """The best that each text has come to."""

    def __init__(self, start_N: Tensor, pad: int, longest: int) -> None:
        self.pad, self.longest = pad, 0
        self.said_NT = start_N.new_full((len(start_N), longest), pad)
        self.score_N = torch.full_like(start_N, -torch.inf, dtype=torch.float32)

    def take(self, texts_n: Tensor, said_nkT: Tensor, score_nk: Tensor) -> None:
        """What beams of some of the texts have said, where it is better; a score of −∞ is of one that has not ended."""
        score_n, beam_n = score_nk.max(1)
        better_n = (score_n > self.score_N[texts_n]).nonzero().flatten()
        if len(better_n):
            self.longest = said_nkT.shape[-1]
            self.score_N[texts_n[better_n]] = score_n[better_n]
            self.said_NT[texts_n[better_n], : self.longest] = said_nkT[better_n, beam_n[better_n]]


def _along(said_NkT: Tensor, from_Nk: Tensor) -> Tensor:
    """What was said by the beams that these come from."""
    return said_NkT.gather(1, from_Nk[..., None].expand(-1, -1, said_NkT.shape[-1]))
