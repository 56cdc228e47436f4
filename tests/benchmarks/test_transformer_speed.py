"""The benchmark of the Transformer says below its table how far ours is from torch's."""

from __future__ import annotations

import pytest
import twin
from torch import nn
from transformer_speed import Transformer, markdown, parity

SMALL = Transformer(width=16, heads=2, layers=1, inner=32, dropout=0.0)


def test_the_largest_differences_are_a_line_below_the_table() -> None:
    (record,) = parity(SMALL, 3, 5)
    for kind in ("outputs", "gradients"):
        far, largest = record[kind]
        assert far <= 5e-6 * max(1.0, largest)
        assert largest > 0.5  # or being equal says little
    page = markdown([record | {"outputs": (2.5e-7, 3.14159), "gradients": (1e-6, 12.0)}], "one core")
    assert "Of 0 goals" in page
    assert page.splitlines()[-1].endswith(
        "3×5, width 16, 2 heads, 1+1 blocks, pre-norm: outputs 2.5e-07 of up to 3.14, gradients 1.0e-06 of up to 12."
    )


def test_other_weights_are_far_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*given: object) -> tuple[nn.Module, nn.Module]:
        ours, theirs = made(*given)  # pyright: ignore
        nn.init.normal_(next(ours.decoder.blocks.parameters()))  # pyright: ignore
        return ours, theirs

    made = twin.pair
    monkeypatch.setattr(twin, "pair", other)
    (record,) = parity(SMALL, 3, 5)
    assert min(record["outputs"][0], record["gradients"][0]) > 1e-3


def test_where_nothing_was_compared_nothing_is_said() -> None:
    assert markdown([], "one core").endswith("|\n")
