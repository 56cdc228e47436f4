"""Scores by the length of the source: what a record keeps of it, and what is made of records."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from finetune import (
    AdamW,
    Benchmark,
    BenchmarkTable,
    Blank,
    Budget,
    InputError,
    Recipe,
    Result,
    Runs,
    Scratch,
    Transformer,
    Translation,
    catalog,
    run,
)
from finetune.cli import main
from finetune.commands.table import recipes as recipes_of
from finetune.data.numbers import Numbers
from finetune.data.toy import ToyPairs
from finetune.items import Items
from finetune.progress import Silent
from finetune.report import records
from finetune.report.beside import beside
from finetune.report.curves import lengths as drawn
from finetune.report.lengths import lengths
from finetune.report.tables import Table
from finetune.session import session
from finetune.stats import Estimate, proportion
from finetune.transformer.tokenizers.words import Words

RUN = next(
    run for run in records.read(Path(__file__).parents[1] / "outputs" / "tables", "topics") if run.method == "full"
)
IDS = [f"{number:03d}" for number in range(100)]
LENGTHS_N = np.repeat([1, 2, 3], [10, 40, 50])


def record(right_N: np.ndarray, seed: int = 0, name: str = "rnn", longest: int | None = 2) -> Result:
    """A run of which each test row was right or not: ten of length 1, forty of length 2, fifty of length 3."""
    items = Items.of(IDS[: len(right_N)], right_N, LENGTHS_N[: len(right_N)])
    recipe = {**RUN.recipe, "name": name, "seed": seed, "data": {"type": "Numbers", "longest": longest}}
    scores = {"exact_match": Estimate(float(right_N.mean()), 0.0, 1.0, len(right_N))}
    return replace(RUN, recipe=recipe, items=items, scores=scores, seconds={**RUN.seconds, "train": 6.0}, epochs=3)


def up_to(*counts: int) -> np.ndarray:
    """So many of each length are right."""
    return np.concatenate([np.arange(n) < count for n, count in zip((10, 40, 50), counts, strict=True)])


def row(table: Table, number: int = 0) -> dict[str, str]:
    return dict(zip(table.header, table.rows[number], strict=True))


def small(data: Numbers | ToyPairs) -> Recipe:
    return Recipe(
        name="small",
        checkpoint=Blank(system=Transformer(width=16, heads=2, layers=1, inner=32), tokenizer=Words(), texts=data),
        data=data,
        task=Translation(max_target=8),
        method=Scratch(optim=AdamW(learning_rate=3e-3)),
        budget=Budget(epochs=1, batch_size=16),
        precision="float32",
    )


def test_a_length_stays_with_its_row_whatever_order_they_come_in() -> None:
    order = np.random.default_rng(0).permutation(100)
    items = Items.of([IDS[each] for each in order], order % 2 == 0, LENGTHS_N[order])
    assert items == Items.of(IDS, np.arange(100) % 2 == 0, LENGTHS_N)
    assert np.array_equal(items.measured(), LENGTHS_N)  # pyright: ignore
    assert Items.of(IDS, up_to(0, 0, 0)).measured() is None


def test_a_length_of_more_than_a_byte_is_the_greatest_there_is() -> None:
    items = Items.of(IDS[:3], np.ones(3, dtype=bool), np.array([254, 255, 70_000]))
    assert items.measured().tolist() == [254, 255, 255]  # pyright: ignore


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (base64.b64encode(b"abc").decode(), "items.lengths must have a byte for each of 100 test examples, got 3"),
        ("ä", "items.lengths must be bytes in base64, got 'ä'"),
    ],
)
def test_lengths_that_are_none_are_refused(text: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        replace(Items.of(IDS, up_to(0, 0, 0), LENGTHS_N), lengths=text)
    assert words in str(error.value)


def test_a_record_from_before_lengths_were_kept_is_read_and_knows_none() -> None:
    stored = json.loads(json.dumps(record(up_to(1, 2, 3)).to_json()))
    assert Result.from_json(stored).items == record(up_to(1, 2, 3)).items
    del stored["items"]["lengths"]
    old = Result.from_json(stored)
    assert old.items is not None
    assert old.items.lengths is None
    assert lengths([old]).notes[0].startswith("no lengths are known of rnn full")


@pytest.mark.usefixtures("own_cache")
def test_a_run_keeps_the_length_of_each_source_also_where_they_were_encoded_before(tmp_path: Path) -> None:
    recipe = small(Numbers(below=2000, train=60, test=20, even=True))
    rows = session(recipe).splits().test
    known = dict(zip(rows["id"], rows["length"], strict=True))
    for seed in (0, 1):
        items = run(replace(recipe, seed=seed), out=tmp_path).items
        assert items is not None
        assert items.measured().tolist() == [known[each] for each in sorted(known)]  # pyright: ignore


@pytest.mark.usefixtures("own_cache")
def test_rows_that_have_no_length_leave_none_in_the_record(tmp_path: Path) -> None:
    items = run(small(ToyPairs(train=40, test=10)), out=tmp_path).items
    assert items is not None
    assert items.lengths is None


def test_a_column_is_the_share_of_right_rows_of_its_length_with_wilsons_interval_of_one_seed() -> None:
    table = lengths([record(up_to(10, 30, 0))])
    found = row(table)
    assert [name for name in table.header if name.endswith("%")] == ["1 %", "2 %", "3 %"]
    for name, right, n in (("1 %", 10, 10), ("2 %", 30, 40), ("3 %", 0, 50)):
        known = proportion(right, n)
        assert known.low is not None
        assert known.high is not None
        assert found[name] == f"{100 * right / n:.1f} ({100 * known.low:.1f} to {100 * known.high:.1f})"
    assert (found["s/epoch"], found["seeds"], found["score"]) == ("2.0", "1", "exact_match")
    assert found["parameters"] == str(RUN.parameters["total"])


def test_what_was_trained_on_and_lengths_of_few_rows_are_told_below() -> None:
    runs = [record(up_to(10, 30, 0), seed) for seed in range(2)] + [record(up_to(1, 1, 1), name="lstm", longest=None)]
    notes = lengths(runs).notes
    assert "rnn: trained on sources of at most 2" in notes
    assert "few test rows: 10 of length 1" in notes
    assert not any("lstm: trained" in note for note in notes)


def test_a_length_that_only_some_were_tested_on_is_a_dash_for_the_others() -> None:
    short = record(up_to(10, 30, 0)[:50], name="lstm")
    assert row(lengths([record(up_to(10, 30, 0)), short]), 1)["3 %"] == "–"


def test_a_benchmark_table_may_be_laid_out_by_length() -> None:
    runs = Runs(recipes=("rnn",), methods=("full",), seeds=1)
    table = BenchmarkTable(by="length", benchmarks=(Benchmark(data="numbers", runs=(runs,)),))
    assert row(beside(table, [record(up_to(10, 30, 0))]))["2 %"].startswith("75.0 (")


def test_curves_have_a_line_for_each_recipe_and_say_what_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [record(up_to(10, 30 - seed, 0), seed, name) for name in ("rnn", "lstm") for seed in range(2)]
    figure = drawn(runs)
    (axes,) = figure.axes
    assert [line.get_xdata().tolist() for line in axes.lines] == [[1, 2, 3]] * 2  # pyright: ignore
    assert axes.lines[0].get_ydata()[1] == pytest.approx(100 * 29.5 / 40)  # pyright: ignore
    assert {text.get_text().strip() for text in axes.texts} == {"rnn", "lstm"}
    assert any("trained on sources of at most 2" in text.get_text() for text in figure.texts)
    (tmp_path / "tables").mkdir()
    records.write(runs, tmp_path / "tables", "mine")
    path = tmp_path / "curves.png"
    assert main(["tables", "mine", "--by", "length", "--figure", str(path), "--out", str(tmp_path)]) == 0
    assert path.is_file()
    assert "rnn, lstm: trained on sources of at most 2" in capsys.readouterr().out


def test_curves_of_one_recipe_are_called_after_what_was_set() -> None:
    places = [
        None,
        {"type": "Sinusoidal", "base": 10.0},
        {"type": "Sinusoidal", "base": 7.5},
        {"type": "Bias", "far": 9},
    ]
    made = [record(up_to(10, 30, 0)) for _ in places]
    runs = [
        replace(run, recipe={**run.recipe, "checkpoint": {"type": "Blank", "positions": place}})
        for run, place in zip(made, places, strict=True)
    ]
    (axes,) = drawn(runs).axes
    assert {text.get_text().strip().partition(" ")[2] for text in axes.texts} == {
        "positions=none",
        "positions=Sinusoidal base=10.0",
        "positions=Sinusoidal base=7.5",
        "positions=Bias",
    }


def test_where_no_length_is_known_there_is_nothing_to_draw() -> None:
    with pytest.raises(InputError, match="there is nothing to draw over length of the source"):
        drawn([replace(record(up_to(0, 0, 0)), items=None)])


SYSTEMS = ("numbers_es", "numbers_rnn", "numbers_rnn_attention", "numbers_lstm", "numbers_lstm_attention")


@pytest.mark.usefixtures("own_cache")
def test_systems_that_are_held_against_each_other_are_as_large_and_read_the_same_rows_as_often() -> None:
    recipes = [catalog.load(name).recipe for name in SYSTEMS]
    texts, counts = Numbers(train=500, test=50), []
    for recipe in recipes:
        assert isinstance(recipe.checkpoint, Blank)
        folder = replace(recipe.checkpoint, texts=texts).fetch(Silent()).folder
        counts.append(sum(math.prod(each.shape) for each in load_file(folder / "model.safetensors").values()))
    assert max(counts) < 1.05 * min(counts)
    assert counts[1] == counts[2]
    assert counts[3] == counts[4]
    alike = {(each.data, each.budget, each.task, each.method, each.split) for each in recipes}
    assert len(alike) == 1
    assert len({(each.checkpoint.tokenizer, each.checkpoint.texts) for each in recipes}) == 1  # pyright: ignore


def test_the_table_of_the_bottleneck_trains_all_of_them_on_short_sources_and_tests_on_longer_ones() -> None:
    made = recipes_of(catalog.table("bottleneck"), Silent())
    assert {each.name for each in made} == set(SYSTEMS)
    assert {each.seed for each in made} == {0, 1, 2}
    (data,) = {each.data for each in made} | {each.checkpoint.texts for each in made}  # pyright: ignore
    assert data == Numbers(below=10**9, even=True, longest=8, train=40_000, test=3000)
