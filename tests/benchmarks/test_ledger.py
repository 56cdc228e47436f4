"""A benchmark goes on where it was stopped, and says how sure its ratios are."""

from __future__ import annotations

from pathlib import Path

import ledger
import pytest
from ledger import Ledger, interval, ratio


def fails() -> list[ledger.Record]:
    raise AssertionError("measured twice")


def test_what_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "ROOT", tmp_path)
    Ledger("speed", 3).measure("é", lambda: [{"ratio": 2.0}])
    again = Ledger("speed", 3)
    again.measure("é", fails)
    assert again.entries == {"é": [{"ratio": 2.0}]}


def test_other_code_or_another_number_of_rounds_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "ROOT", tmp_path)
    (tmp_path / "finetune").mkdir()
    Ledger("speed", 3).measure("a point", list)
    assert "a point" not in Ledger("speed", 4).entries
    (tmp_path / "finetune" / "lean.py").write_text("BLOCK = 1")
    assert "a point" not in Ledger("speed", 3).entries


@pytest.mark.parametrize(
    ("n", "outside"), [(3, 0), (6, 0), (8, 0), (9, 1), (20, 5)], ids=["3", "6", "8", "9", "20 values"]
)
def test_the_interval_of_a_median_leaves_out_as_many_values_as_the_binomial_tables_say(n: int, outside: int) -> None:
    assert interval(range(n)) == (outside, n - 1 - outside)


@pytest.mark.parametrize(
    ("goal", "verdict"), [(2.0, "reached"), (2.4, "tied"), (3.0, "missed")], ids=["reached", "tied", "missed"]
)
def test_a_goal_within_the_spread_of_the_rounds_is_neither_reached_nor_missed(goal: float, verdict: str) -> None:
    found = ratio([1.0, 1.0, 1.0], [1.9, 2.0, 2.5], goal)
    assert found == {"ratio": 2.0, "low": 1.9, "high": 2.5, "goal": goal, "verdict": verdict}
    assert ratio([1.0], [2.0], goal, same=True)["verdict"] == "same"
