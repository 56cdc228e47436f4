"""Which example is in which batch."""

from __future__ import annotations

import numpy as np
import pytest

from finetune import batches

LENGTHS = np.random.default_rng(0).integers(1, 200, size=1003)


def test_an_epoch_holds_every_example_once() -> None:
    assert sorted(np.concatenate(batches.epoch(LENGTHS, 32, seed=0, number=1))) == list(range(1003))


def test_order_depends_on_seed_and_epoch_and_on_nothing_else() -> None:
    def order(seed: int, number: int) -> list[int]:
        return np.concatenate(batches.epoch(LENGTHS, 32, seed, number)).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_examples_of_one_batch_are_of_about_one_length() -> None:
    def padded(parts: list[np.ndarray]) -> int:
        return sum(int(LENGTHS[part].max()) * len(part) for part in parts)

    shuffled = np.array_split(np.random.default_rng(0).permutation(1003), 32)
    assert padded(batches.epoch(LENGTHS, 32, 0, 1)) < 1.06 * LENGTHS.sum()
    assert padded(shuffled) > 1.7 * LENGTHS.sum()


def test_long_batches_do_not_all_come_first() -> None:
    means = [LENGTHS[part].mean() for part in batches.epoch(LENGTHS, 32, 0, 1)]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_processes_share_a_batch_without_overlap(world: int) -> None:
    batch = np.arange(5)
    shares = [batches.share(batch, rank, world) for rank in range(world)]
    assert sorted(np.concatenate(shares)) == list(range(5))


@pytest.mark.parametrize("size", [None, 1, 2, 5, 7])
def test_micro_batches_are_the_batch_in_pieces(size: int | None) -> None:
    pieces = list(batches.micro(np.arange(5), size))
    assert np.concatenate(pieces).tolist() == list(range(5))
    assert all(len(piece) <= (size or 5) for piece in pieces)


def test_a_sweep_keeps_to_its_tokens_and_takes_the_longest_first() -> None:
    parts = batches.sweep(LENGTHS, 400)
    assert sorted(np.concatenate(parts)) == list(range(1003))
    assert all(len(part) * LENGTHS[part].max() <= 400 for part in parts)
    assert LENGTHS[parts[0]].max() == LENGTHS.max()


def test_an_example_longer_than_the_token_budget_is_still_taken() -> None:
    assert [part.tolist() for part in batches.sweep(np.array([10, 900]), 400)] == [[1], [0]]
