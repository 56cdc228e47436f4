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


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [None, 1, 2, 7])
@pytest.mark.parametrize("tokens", [None, 1, 30, 1000])
def test_the_pieces_of_all_processes_are_the_batch_and_each_has_as_many(
    tokens: int | None, size: int | None, world: int
) -> None:
    positions = np.array([9, 10, 10, 3, 2, 10, 1])
    shares = [batches.micro(np.array([0, 1, 3, 4, 6]), rank, world, positions, tokens, size) for rank in range(world)]
    assert sorted(np.concatenate([piece for pieces in shares for piece in pieces])) == [0, 1, 3, 4, 6]
    assert len({len(pieces) for pieces in shares}) == 1
    assert all(len(piece) <= (size or 5) for pieces in shares for piece in pieces)


def test_a_batch_is_halved_until_its_pieces_have_no_more_than_the_tokens_asked_for() -> None:
    pieces = batches.micro(np.arange(65), 0, 1, np.full(65, 50), 1000, None)
    assert [len(piece) for piece in pieces] == [17, 16, 16, 16]  # a half would have 1650 tokens


def test_batches_of_any_length_come_in_few_shapes() -> None:
    shapes = set()
    for length in range(20, 257):
        pieces = batches.micro(np.arange(32), 0, 1, np.full(32, length), 2048, None)
        for count in map(len, pieces):
            multiple = batches.multiple(count)
            shapes.add(count * -(-length // multiple) * multiple)
    assert len(shapes) <= 24
    assert all(tokens % batches.SHAPES == 0 for tokens in shapes)


def test_padding_to_few_shapes_costs_few_tokens() -> None:
    for count in (1, 2, 3, 8, 13, 16, 32):
        assert batches.multiple(count) <= 8
    assert batches.multiple(32) == 2
    assert batches.multiple(64) == 1


def test_examples_of_about_one_length_share_a_piece() -> None:
    positions = np.array([5, 100, 6, 90, 4, 110])
    pieces = batches.micro(np.arange(6), 0, 1, positions, 330, None)
    assert [piece.tolist() for piece in pieces] == [[5, 1, 3], [2, 0, 4]]


def test_a_sweep_keeps_to_its_tokens_and_takes_the_longest_first() -> None:
    parts = batches.sweep(LENGTHS, 400)
    assert sorted(np.concatenate(parts)) == list(range(1003))
    assert all(len(part) * LENGTHS[part].max() <= 400 for part in parts)
    assert LENGTHS[parts[0]].max() == LENGTHS.max()


def test_an_example_longer_than_the_token_budget_is_still_taken() -> None:
    assert [part.tolist() for part in batches.sweep(np.array([10, 900]), 400)] == [[1], [0]]
