"""Results → a table: what a cell may say."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from finetune import Recipe, Result, run
from finetune.report.tables import table
from finetune.stats import Estimate


@pytest.fixture
def result(toy: Callable[[str], Recipe], tmp_path: Path) -> Result:
    return run(toy("bert"), out=tmp_path)


def with_seed(result: Result, seed: int, value: float) -> Result:
    scores = {"accuracy": Estimate(value, value - 0.1, value + 0.05, 30)}
    return replace(result, recipe={**result.recipe, "seed": seed}, scores=scores)


def cells(results: list[Result]) -> dict[str, str]:
    found = table(results)
    (row,) = found.rows
    return dict(zip(found.header, row, strict=True))


def test_a_row_is_the_mean_over_seeds_with_their_deviation_and_the_interval_over_items(result: Result) -> None:
    row = cells([with_seed(result, 0, 0.8), with_seed(result, 1, 0.9)])
    assert (row["seeds"], row["value %"], row["± seeds"]) == ("2", "85.00", "7.07")
    assert row["95 % interval"] == "75.0 to 90.0"
    assert (row["train rows"], row["test rows"]) == ("54", "30")


def test_of_one_seed_there_is_no_deviation(result: Result) -> None:
    assert cells([result])["± seeds"] == "–"


def test_a_diverged_run_is_shown_as_such_and_never_as_a_number(result: Result) -> None:
    row = cells([with_seed(result, 0, 0.8), replace(with_seed(result, 1, 0.9), status="diverged", scores={})])
    assert (row["value %"], row["± seeds"], row["95 % interval"]) == ("diverged (1)", "–", "–")


def test_runs_that_differ_in_more_than_the_seed_are_rows_of_their_own(result: Result) -> None:
    other = replace(result, recipe={**result.recipe, "split": {"train_rows": 5}})
    assert len(table([result, other, with_seed(result, 1, 0.5)]).rows) == 2


def test_attentions_are_a_column_only_where_one_is_swapped(result: Result) -> None:
    swapped = replace(result, attention="uniform", recipe={**result.recipe, "attention": {"type": "MultiHead"}})
    assert "attention" not in table([result]).header
    found = table([result, swapped])
    column = found.header.index("attention")
    assert [row[column] for row in found.rows] == ["stock", "uniform"]


def test_names_that_would_be_code_are_only_text(result: Result) -> None:
    name = "=1+1|a_b&c\\"
    found = table([replace(result, recipe={**result.recipe, "name": name})])
    assert next(iter(csv.DictReader(io.StringIO(found.csv()))))["recipe"] == f"'{name}"
    assert "=1+1\\|a_b&c\\\\" in found.markdown()
    assert "a\\_b\\&c" in found.latex()


@pytest.mark.parametrize("form", ["terminal", "markdown", "csv", "latex"])
def test_every_format_has_every_cell(result: Result, form: str) -> None:
    found = table([result])
    text = getattr(found, form)()
    numbers = [cell for cell in found.rows[0] if cell.replace(".", "").isdigit()]
    assert len(numbers) > 6
    assert all(cell in text for cell in numbers)


def test_the_table_is_made_again_from_the_records_alone(result: Result) -> None:
    assert table([Result.from_json(result.to_json())]) == table([result])
