"""Which example is in which batch: a pure function of (lengths, batch size, seed, epoch).

Nothing here knows of processes until `share`: one process or eight walk through the same global batches.
"""

from __future__ import annotations

import math

import numpy as np

SHAPES = 64  # padded tokens of a forward pass are about a multiple of it
POOL = 50  # batches sorted by length together: enough to waste little on padding, too few to order the epoch by length


def epoch(lengths: np.ndarray, batch_size: int, seed: int, number: int) -> list[np.ndarray]:
    """The global batches of epoch `number`: shuffled, each of examples of about one length, in shuffled order.

    Args:
        lengths: length of each example, in tokens.
        batch_size: examples per optimizer update, over all processes and accumulation steps.
    """
    rng = np.random.default_rng((seed, number))
    order = rng.permutation(len(lengths))
    pools = [order[start : start + POOL * batch_size] for start in range(0, len(order), POOL * batch_size)]
    by_length = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    batches = [by_length[start : start + batch_size] for start in range(0, len(by_length), batch_size)]
    return [batches[index] for index in rng.permutation(len(batches))]


def sweep(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Every example once, longest first, in batches of at most `tokens` padded tokens (at least one example).

    Longest first: if memory does not suffice, it shows in the first second.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, tokens // max(1, int(lengths[order[start]])))
        size = size - size % 8 or size  # so that a little padding makes its shape one of a few
        batches.append(order[start : start + size])
        start += size
    return batches


def share(batch: np.ndarray, rank: int, world: int) -> np.ndarray:
    """The part of a global batch that process `rank` of `world` computes. It may be empty."""
    return batch[rank::world]


def micro(
    batch: np.ndarray, rank: int, world: int, positions: np.ndarray, tokens: int | None, size: int | None
) -> list[np.ndarray]:
    """The part of a global batch that a process computes, longest examples first, in pieces whose gradients are summed.

    Every process has as many pieces as every other, or one would wait for another's gradients for ever; some of them
    may be empty.

    A piece has the examples of the whole batch, or a half of them, a quarter, …

    Args:
        positions: of every example, how many a forward pass computes for it.
        tokens: the most padded ones that a piece may have (at least one example); None: any number.
        size: how many examples a piece may have; None: any number.
    """
    order = batch[np.argsort(-positions[batch], kind="stable")]
    most = math.ceil(len(order) / world)
    count = min(most, size or most)
    while count > 1 and tokens and count * int(positions[order[0]]) > tokens:
        count = math.ceil(count / 2)
    return np.array_split(share(order, rank, world), math.ceil(most / count))


def multiple(examples: int) -> int:
    """What the padded length of so many examples is to be a multiple of.

    A product of matrices of a shape that was not there before costs a CPU several milliseconds, in which its code is
    made, as much as the product itself; so that shapes come again, a batch has a few more tokens of padding.
    """
    return min(8, SHAPES // math.gcd(SHAPES, examples))
