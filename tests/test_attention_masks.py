"""Which keys a query may look at: masks against their truth tables, whole and block by block.

B batch, H heads, T queries, S keys.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from finetune import InputError
from finetune.attention.masks import EVERYTHING, Both, Causal, Dense, Either, Mask, Padding, Window

CPU = torch.device("cpu")
QUERIES, KEYS = 4, 6
REAL_BS = torch.tensor([[True] * 6, [False, True, True, True, False, False]])
PATTERN_BHTS = torch.rand(2, 3, QUERIES, KEYS, generator=torch.Generator().manual_seed(0)) < 0.5

MASKS = {
    "everything": EVERYTHING,
    "padding": Padding(REAL_BS),
    "causal": Causal(),
    "causal behind a cache": Causal(2),
    "causal before all keys": Causal(-2),
    "window": Window(2),
    "window behind a cache": Window(2, 2),
    "window of one": Window(1, -1),
    "dense": Dense(PATTERN_BHTS),
    "dense for all queries": Dense(PATTERN_BHTS[:, :1, :1]),
    "dense for all keys": Dense(PATTERN_BHTS[:1, :, :, :1]),
    "causal and padding": Causal(2) & Padding(REAL_BS),
    "causal and window and padding": Causal(2) & Window(2, 2) & Padding(REAL_BS),
    "causal and dense": Dense(PATTERN_BHTS) & Causal(2),
    "window or causal": Window(2) | Causal(),
    "padding or dense": Padding(REAL_BS) | Dense(PATTERN_BHTS),
    "window or padding": Window(2, 2) | Padding(REAL_BS),
    "all of it": (Window(2, 2) | Dense(PATTERN_BHTS)) & Causal(2) & Padding(REAL_BS),
}
each_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())


def whole(found: Tensor | bool | None, rows: int = QUERIES, columns: int = KEYS) -> Tensor:
    """An answer of a mask, every cell of it."""
    answer = found if isinstance(found, Tensor) else torch.tensor(found is None or found)
    return answer.expand(2, 3, rows, columns)


def table(mask: Mask) -> list[str]:
    """The mask of the first text and head, a query a line."""
    return ["".join("x" if cell else "." for cell in row) for row in whole(mask.dense(QUERIES, KEYS, CPU))[0, 0]]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (EVERYTHING, ["xxxxxx", "xxxxxx", "xxxxxx", "xxxxxx"]),
        (Padding(REAL_BS[1:]), [".xxx..", ".xxx..", ".xxx..", ".xxx.."]),
        (Causal(), ["x.....", "xx....", "xxx...", "xxxx.."]),
        (Causal(2), ["xxx...", "xxxx..", "xxxxx.", "xxxxxx"]),
        (Causal(-2), ["......", "......", "x.....", "xx...."]),
        (Window(1), ["x.....", ".x....", "..x...", "...x.."]),
        (Window(2), ["xx....", "xxx...", ".xxx..", "..xxx."]),
        (Window(2, 2), [".xxx..", "..xxx.", "...xxx", "....xx"]),
        (Causal(2) & Window(2, 2), [".xx...", "..xx..", "...xx.", "....xx"]),
        (Causal() & Padding(REAL_BS[1:]), ["......", ".x....", ".xx...", ".xxx.."]),
        (Causal(-2) | Window(1), ["x.....", ".x....", "x.x...", "xx.x.."]),
        (Causal() & (Window(1) | Padding(REAL_BS[1:])), ["x.....", ".x....", ".xx...", ".xxx.."]),
    ],
)
def test_a_mask_allows_what_its_table_says(mask: Mask, expected: list[str]) -> None:
    assert table(mask) == expected


def test_a_dense_mask_is_the_pattern_it_was_given() -> None:
    assert torch.equal(whole(Dense(PATTERN_BHTS).dense(QUERIES, KEYS, CPU)), PATTERN_BHTS)


def test_padding_differs_from_text_to_text_and_not_from_head_to_head_or_query_to_query() -> None:
    assert torch.equal(whole(Padding(REAL_BS).dense(QUERIES, KEYS, CPU))[:, 2, 3], REAL_BS)


@each_mask
def test_every_block_is_that_part_of_the_whole_and_a_shortcut_is_true_of_all_its_cells(mask: Mask) -> None:
    expected = whole(mask.dense(QUERIES, KEYS, CPU))
    for rows, columns in blocks():
        part = expected[:, :, rows, columns]
        assert torch.equal(whole(mask.block(rows, columns, CPU), *part.shape[2:]), part), (rows, columns)


@pytest.mark.parametrize("mask", [Causal(), Causal(2), Causal(-2), Window(1), Window(2, 2), Window(3, -1)], ids=repr)
def test_causal_and_window_never_write_out_a_block_that_is_the_same_all_over(mask: Mask) -> None:
    for rows, columns in blocks():
        found = mask.block(rows, columns, CPU)
        assert isinstance(found, bool) or 0 < int(found.sum()) < found.numel(), (rows, columns)


def test_combined_masks_keep_the_shortcuts_of_their_parts() -> None:
    past, future, padding = (slice(3, 4), slice(0, 3)), (slice(0, 1), slice(1, 6)), Padding(REAL_BS)
    for both in (Causal() & padding, padding & Causal()):
        assert both.block(*future, CPU) is False
        assert torch.equal(whole(both.block(*past, CPU), 1, 3), whole(padding.block(*past, CPU), 1, 3))
    for either in (Causal() | padding, padding | Causal()):
        assert either.block(*past, CPU) is True
        assert torch.equal(whole(either.block(*future, CPU), 1, 5), whole(padding.block(*future, CPU), 1, 5))


def test_everything_adds_nothing_to_a_mask_and_swallows_an_alternative() -> None:
    causal = Causal()
    assert (causal & EVERYTHING) is (EVERYTHING & causal) is causal
    assert (causal | EVERYTHING) is (EVERYTHING | causal) is EVERYTHING
    assert (causal & Window(2), causal | Window(2)) == (Both(causal, Window(2)), Either(causal, Window(2)))


def test_where_all_is_allowed_nothing_is_written_out_and_where_nothing_is_one_cell() -> None:
    assert EVERYTHING.dense(QUERIES, KEYS, CPU) is None
    assert Causal(KEYS).dense(QUERIES, KEYS, CPU) is None
    assert Window(9).dense(QUERIES, KEYS, CPU) is None
    nothing = Causal(-QUERIES).dense(QUERIES, KEYS, CPU)
    assert nothing is not None
    assert (nothing.shape, bool(nothing.any())) == ((1, 1, 1, 1), False)


def test_padding_may_be_given_in_numbers() -> None:
    assert torch.equal(
        whole(Padding(REAL_BS.long()).dense(1, KEYS, CPU), 1), whole(Padding(REAL_BS).dense(1, 6, CPU), 1)
    )


def test_a_mask_of_the_wrong_form_is_refused() -> None:
    with pytest.raises(InputError, match=r"a padding mask has 2 dimensions, batch and keys; got \(2, 1, 6\)"):
        Padding(REAL_BS[:, None])
    with pytest.raises(InputError, match="a window is at least 1 position wide, got 0"):
        Window(0)
    with pytest.raises(InputError, match=r"a dense mask holds bools in 4 dimensions, .* got torch.bool of \(4, 6\)"):
        Dense(PATTERN_BHTS[0, 0])
    with pytest.raises(InputError, match=r"a dense mask holds bools .* got torch.float32 of \(2, 3, 4, 6\)"):
        Dense(PATTERN_BHTS.float())


def blocks() -> itertools.product[tuple[slice, slice]]:
    """All blocks there are."""
    return itertools.product(spans(QUERIES), spans(KEYS))


def spans(length: int) -> list[slice]:
    return [slice(start, stop) for start, stop in itertools.combinations(range(length + 1), 2)]


@pytest.mark.parametrize(
    "mask",
    [
        EVERYTHING,
        Causal(),
        Causal(offset=3),
        Causal(offset=-4),
        Window(3),
        Window(2, offset=5),
        Causal() & Window(4),
        Causal() | Window(2),
        Causal(offset=-4) | Causal(offset=-6),
        Causal() & Padding(torch.arange(12)[None] < 9),
    ],
    ids=str,
)
@pytest.mark.parametrize("rows", [slice(0, 1), slice(0, 4), slice(5, 9), slice(11, 12)], ids=str)
def test_no_key_outside_the_reach_of_some_queries_is_allowed_to_any_of_them(mask: Mask, rows: slice) -> None:
    keys = 12
    reach = mask.reach(rows, keys)
    assert 0 <= reach.start <= reach.stop <= keys
    allowed = mask.block(rows, slice(0, keys), torch.device("cpu"))
    whole = allowed if isinstance(allowed, torch.Tensor) else torch.full((1, 1, 1, keys), allowed)
    outside = torch.ones(keys, dtype=torch.bool)
    outside[reach] = False
    assert not whole.expand(*whole.shape[:2], rows.stop - rows.start, keys)[..., outside].any()


def test_the_reach_of_a_causal_mask_and_of_a_window_is_as_narrow_as_it_can_be() -> None:
    assert Causal(offset=2).reach(slice(0, 3), 20) == slice(0, 5)
    assert Window(3).reach(slice(5, 7), 20) == slice(3, 9)
    assert (Causal() & Window(3)).reach(slice(5, 7), 20) == slice(3, 7)


def test_masks_of_an_alternative_are_checked_each() -> None:
    with pytest.raises(InputError, match="does not fit scores"):
        (Causal() | Padding(torch.ones(2, 7, dtype=torch.bool))).check((2, 1, 5, 5))
