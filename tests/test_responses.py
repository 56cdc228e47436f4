"""Scores by the learning rate: a line for each setting, every rate that was run, and no trial among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune import InputError, Result
from finetune.cli import main
from finetune.report import curves, records
from finetune.report.groups import groups
from finetune.report.responses import by_rate, responses
from finetune.report.shared import shared
from finetune.system import System, right

COMMITTED = Path(__file__).parents[1] / "outputs" / "tables"
NORMS = records.read(COMMITTED, "norms")
RATES = [3e-4, 1e-3, 3e-3]


def column(rate: float, runs: list[Result]) -> list[str]:
    made = by_rate(runs)
    return [row[made.header.index(f"% at {rate:g}")] for row in made.rows]


def test_runs_that_differ_in_rate_and_seed_alone_are_one_line_in_the_order_of_their_rates() -> None:
    found = responses(groups(reversed(NORMS)))
    assert {each.name for each in found} == {
        f"layers={layers} order={order}" for layers in (2, 6, 12) for order in ("pre", "post")
    }
    assert [list(each.at) for each in found] == [RATES] * 6
    assert all(len(group.results) == 3 for each in found for group in each.at.values())


def test_a_score_is_the_mean_of_its_runs() -> None:
    first = responses(groups(NORMS))[0]
    for rate, score in first.scores.items():
        own = right(System(name="", runs=first.at[rate].results))
        assert score.value == pytest.approx(own.mean())
        assert score.n == own.shape[1]


def test_the_table_has_a_row_for_each_line_and_a_column_for_each_rate() -> None:
    made = by_rate(NORMS)
    assert [name for name in made.header if name.startswith("%")] == ["% at 0.0003", "% at 0.001", "% at 0.003"]
    assert len(made.rows) == 6
    assert all(row[made.header.index("seeds")] == "3" for row in made.rows)


def test_a_rate_that_was_not_run_is_a_dash_and_one_that_diverged_says_so() -> None:
    kept = [run for run in NORMS if run.recipe["checkpoint"]["system"]["layers"] == 2]
    lost = [
        replace(run, status="diverged", scores={}, items=None)
        if run.recipe["method"]["optim"]["learning_rate"] == 3e-3 and run.recipe["seed"] == 1
        else run
        for run in kept
        if run.recipe["checkpoint"]["system"]["order"] == "pre"
        or run.recipe["method"]["optim"]["learning_rate"] != 1e-3
    ]
    assert column(3e-3, lost) == ["diverged", "diverged"]
    assert column(1e-3, lost)[1] == "–"
    assert column(1e-3, lost)[0] == column(1e-3, kept)[0]


def test_of_one_seed_the_interval_is_over_test_rows_and_what_has_one_rate_is_left_out() -> None:
    single = [run for run in NORMS if run.recipe["seed"] == 0]
    alone = [run for run in single if run.recipe["checkpoint"]["system"]["order"] == "post"]
    kept = [run for run in single if run not in alone or run.recipe["method"]["optim"]["learning_rate"] == 1e-3]
    made = by_rate(kept)
    assert len(made.rows) == 3
    first = kept[0].scores["accuracy"]
    assert column(3e-4, kept)[0] == f"{100 * first.value:.1f} ({100 * first.low:.1f} to {100 * first.high:.1f})"
    assert "no runs differ in the learning rate and the seed alone" in by_rate(kept[:1]).notes[0]


def test_lines_are_named_by_method_and_attention_where_these_differ() -> None:
    few = [run for run in NORMS if run.recipe["checkpoint"]["system"] == NORMS[0].recipe["checkpoint"]["system"]]
    assert [each.name for each in responses(groups(few))] == ["scratch"]
    swapped = [replace(run, attention="linear", recipe={**run.recipe, "attention": {"type": "Linear"}}) for run in few]
    assert [each.name for each in responses(groups([*few, *swapped]))] == ["stock", "linear"]


def test_trials_are_told_as_what_one_rate_for_all_would_have_said() -> None:
    tuned = records.read(COMMITTED, "tuned")
    assert by_rate(tuned) == shared(tuned)
    assert by_rate(tuned).rows


def test_the_picture_draws_each_line_at_its_rates_and_of_one_rate_there_is_none() -> None:
    (panel,) = curves.rated(NORMS).axes
    assert [list(np.asarray(line.get_xdata())) for line in panel.lines] == [RATES] * 6
    assert {text.get_text().strip() for text in panel.texts} == {each.name for each in responses(groups(NORMS))}
    with pytest.raises(InputError, match="there is nothing to draw over learning rate: no run was made for that"):
        curves.rated([run for run in NORMS if run.recipe["method"].get("optim", {}).get("learning_rate") == 1e-3])


def test_tables_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "norms.png"
    out = str(COMMITTED.parent)
    assert main(["tables", "norms", "--by", "rate", "--figure", str(picture), "--out", out]) == 0
    assert "% at 0.0003" in capsys.readouterr().out
    assert picture.stat().st_size > 10_000
