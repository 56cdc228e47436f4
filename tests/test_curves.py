"""Training curves: runs that differ in their seed alone are one line, and a line says no more than its runs do."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from finetune import cli, run
from finetune.outputs import CURVE, read_lines
from finetune.report.studies import estimate, study
from finetune.report.training import QUANTITIES, Trained, training


@pytest.fixture(scope="module")
def folders(shared: tiny.Shared) -> list[Path]:
    """Of two seeds of full fine-tuning at each of two rates."""
    recipe = shared.toy("bert").override(["budget.batch_size=2"])
    every = [
        recipe.override([f"method.optim.learning_rate={rate}", f"seed={seed}"])
        for rate in (1e-4, 1e-3)
        for seed in (0, 1)
    ]
    return [folder for one in every if (folder := run(one, out=shared.out).folder) is not None]


def test_a_line_is_the_mean_over_seeds_at_every_update_that_was_told(folders: list[Path]) -> None:
    points = training(map(Trained.read, folders))
    first, second = (read_lines(folder / CURVE) for folder in folders[:2])
    assert points.seeds == 2
    assert [each.line for each in points.series[:: len(first)]] == [
        "toy_bert full learning_rate=0.0001",
        "toy_bert full learning_rate=0.001",
    ]
    for series, one, other in zip(points.series, first, second, strict=False):
        assert series.at == one["step"] == other["step"]
        assert series.values == {
            "loss": [one["loss"], other["loss"]],
            "gradient norm": [one["gradient_norm"], other["gradient_norm"]],
        }
        assert math.isclose(estimate(series, QUANTITIES[0]).value, math.sqrt(one["loss"] * other["loss"]))


def test_of_a_run_that_ended_early_the_line_ends_there(folders: list[Path]) -> None:
    whole, short = map(Trained.read, folders[:2])
    points = training([whole, replace(short, curve=short.curve[:2])])
    assert [each.at for each in points.series] == [line["step"] for line in short.curve[:2]]


def test_a_long_line_is_shown_at_twelve_places_and_the_record_holds_all(folders: list[Path]) -> None:
    one = Trained.read(folders[0])
    line = one.curve[0]
    points = training([replace(one, curve=[{**line, "step": 10 * step} for step in range(1, 101)])])
    table = study(points)
    assert [row[1] for row in table.rows][:: len(table.rows) - 1] == ["10", "1000"]
    assert len(table.rows) == 12
    assert "12 of 100 places; the record holds them all" in table.notes
    assert len(points.series) == 100


def test_a_run_is_drawn_once_however_often_it_is_named(folders: list[Path]) -> None:
    assert training(map(Trained.read, folders * 2)) == training(map(Trained.read, folders))


def test_what_is_saved_is_printed_and_drawn_again(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, out = tmp_path / "curves.svg", ["--out", str(tmp_path), "--format", "markdown"]
    words = ["curves", *map(str, folders), *out]
    assert cli.main([*words, "--save", "mine", "--figure", str(picture)]) == 0
    said = capsys.readouterr().out
    assert said == (tmp_path / "tables" / "mine.md").read_text() + f"drawn: {picture}\n"
    assert "toy_bert full method.optim.learning_rate=0.001: seeds 0, 1; " in said
    again = tmp_path / "again.svg"
    assert cli.main(["tables", "mine", "--by", "study", *out, "--figure", str(again)]) == 0
    assert capsys.readouterr().out == said.replace(str(picture), str(again))


def test_what_cannot_be_drawn_is_one_line(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, solved = tmp_path / "empty", tmp_path / "solved"
    for folder in (empty, solved):
        folder.mkdir()
    (solved / "result.json").write_text(json.dumps(Trained.read(folders[0]).result.to_json()))
    for given, wrong in (
        ([empty], f"{empty} holds no finished run: there is no result.json"),
        ([solved], f"{solved} has no curve: its method solves for its head, or it made no update"),
        (folders[:3], "there must be as many of each, got 2 of toy_bert full method.optim.learning_rate=0.0001, 1 of"),
    ):
        assert cli.main(["curves", *map(str, given)]) == 2
        said = capsys.readouterr().err
        assert wrong in said
        assert said.count("\n") == 1
    assert cli.main(["curves", str(folders[0]), "--figure", "x.pdf"]) == 2
    assert "a figure is saved as .png or .svg, got 'x.pdf'" in capsys.readouterr().err
