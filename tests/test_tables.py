"""Results → a table: what a cell may say."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune import LoRA, Recipe, Result, commands, paired, run
from finetune.items import Items
from finetune.report.groups import Failed
from finetune.report.tables import table
from finetune.stats import Estimate

ONE_SEED = "one seed: no spread, and no interval but over test rows"


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


def test_a_row_is_the_mean_over_seeds_with_their_deviation_and_the_interval_over_items_and_seeds(
    result: Result,
) -> None:
    right_SN = np.arange(100) < np.array([[80], [90]])
    runs = [
        replace(
            with_seed(result, seed, float(right_N.mean())), items=Items.of([f"{n:03}" for n in range(100)], right_N)
        )
        for seed, right_N in enumerate(right_SN)
    ]
    row = cells(runs)
    assert (row["seeds"], row["value %"], row["± seeds"]) == ("2", "85.00", "7.07")
    over = paired.share(right_SN.astype(float))
    assert over.low is not None
    assert over.low < 0.7 < 0.8 < 0.9 < (over.high or 0)  # wider than that of either
    assert row["95 % interval"] == f"{100 * over.low:.1f} to {100 * (over.high or 0):.1f}"
    assert (row["train rows"], row["test rows"]) == ("54", "30")
    said = "95 % interval: over test rows and seeds"
    assert f"{said}; too narrow where two of them agree by chance, as may those of toy_bert full" in table(runs).notes
    assert said in table([*runs, replace(runs[0], recipe={**result.recipe, "seed": 2})]).notes  # of three seeds
    assert said in table([replace(each, items=runs[0].items) for each in runs]).notes  # two that are the same


def test_a_score_that_no_row_has_of_its_own_keeps_the_interval_over_items_and_that_is_told(result: Result) -> None:
    runs = [replace(with_seed(result, seed, value), items=None) for seed, value in enumerate((0.8, 0.9))]
    assert cells(runs)["95 % interval"] == "75.0 to 90.0"  # the means of the ends
    assert "95 % interval: over test rows alone" in table(runs).notes
    lora = [replace(with_settings(each), items=result.items) for each in runs]
    said = "95 % interval: over test rows and seeds, but over test rows alone of toy_bert full"
    assert said in table([*runs, *lora]).notes
    drawn = [
        replace(each, recipe={**each.recipe, "split": {**each.recipe["split"], "draw": draw}})
        for each in lora
        for draw in (0, 1)
    ]
    assert "95 % interval: over test rows and draws of training rows" in table(drawn).notes


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


def with_settings(result: Result, *settings: str) -> Result:
    recipe = replace(Recipe.from_json(result.recipe), method=LoRA()).override(settings)
    return replace(result, recipe=recipe.to_json(), method="lora")


def settings(results: list[Result], failed: list[Failed] | None = None) -> list[str]:
    found = table(results, failed or [])
    return [row[found.header.index("settings")] for row in found.rows]


def test_how_long_a_run_trained_is_a_column_and_a_mean_over_seeds_that_stopped_at_different_updates(
    result: Result,
) -> None:
    assert cells([result])["updates"] == "8"  # 54 rows in batches of 16, twice
    assert cells([with_seed(result, 0, 0.8), with_seed(result, 1, 0.9)])["updates"] == "8"
    stopped = replace(with_seed(result, 1, 0.9), updates=5)
    assert cells([with_seed(result, 0, 0.8), stopped])["updates"] == "6.5"


def test_rows_of_one_name_tell_the_settings_that_differ_as_set_takes_them(result: Result) -> None:
    small = with_settings(result, "method.rank=4")
    large = with_settings(result, "method.targets=query,value,mlp", "split.train_rows=5")
    assert settings([small, large]) == [
        "method.rank=4 method.targets=query,value split.train_rows=none",
        "method.rank=8 method.targets=query,value,mlp split.train_rows=5",
    ]
    for text, one in zip(settings([small, large]), (small, large), strict=True):
        assert with_settings(result, *text.split()).recipe == one.recipe


def test_a_row_without_a_namesake_tells_no_settings_and_where_none_does_there_is_no_column(result: Result) -> None:
    small, large = with_settings(result, "method.rank=4"), with_settings(result)
    assert settings([small, result, large]) == ["method.rank=4", "–", "method.rank=8"]
    for alone in ([small], [result, small], [large, replace(large, recipe={**large.recipe, "seed": 1})]):
        assert "settings" not in table(alone).header


def test_another_kind_of_part_is_told_by_its_name_and_by_what_only_it_has(result: Result) -> None:
    core = {"type": "ScaledDotProduct", "position": None}
    placed = {"type": "ScaledDotProduct", "position": {"type": "Rotary", "base": 7.5}}
    both = [
        replace(result, attention="x", recipe={**result.recipe, "attention": {"type": "MultiHead", "core": each}})
        for each in (core, placed)
    ]
    assert settings(both) == [
        "attention.core.position=none",
        "attention.core.position=Rotary attention.core.position.base=7.5",
    ]


def test_a_record_from_before_there_was_a_choice_of_attention_is_of_the_same_row(result: Result) -> None:
    old = {name: value for name, value in result.recipe.items() if name != "attention"}
    assert len(table([result, replace(result, recipe={**old, "seed": 1})]).rows) == 1


def test_a_run_that_failed_is_a_row_of_dashes_with_its_settings(result: Result) -> None:
    small, large = with_settings(result, "method.rank=4"), with_settings(result, "method.rank=16")
    failed = Failed(recipe=large.recipe, method="lora", attention="stock")
    assert settings([small], [failed, failed]) == ["method.rank=4", "method.rank=16"]
    assert set(table([small], [failed]).rows[1][4:]) == {"–"}


def test_a_seed_that_failed_adds_no_row_and_is_told_below(result: Result) -> None:
    lost = Failed(recipe={**result.recipe, "seed": 1}, method="full", attention="stock")
    found = table([result], [lost])
    assert len(found.rows) == 1
    assert "toy_bert full: 1 of 2 seeds came to no result and are not in the row" in found.notes


def test_what_flatters_and_what_was_cut_is_told_once_however_many_rows_it_is_true_of(result: Result) -> None:
    known = replace(
        result,
        updates=100,
        test_rows_in_train=12,
        truncated={"train": 30, "validation": 0, "test": 7},
        recipe={**result.recipe, "task": {"type": "Classification", "max_length": 128}},
    )
    other = replace(known, method="lora", recipe={**known.recipe, "method": {"type": "LoRA"}})
    unlimited = replace(known, recipe={**result.recipe, "name": "long"}, test_rows_in_train=0)
    notes = table([known, other, unlimited]).notes
    assert notes[:3] == (
        "toy_bert: 12 of 30 test texts also in train; that flatters every method alike",
        "toy_bert: 37 of 90 texts cut to 128 tokens",
        "long: 37 of 90 texts cut to the longest the model reads",
    )
    assert notes[3] == "one seed: no spread, and no interval but over test rows"
    assert len(notes) == 4 + 3
    assert all("of one seed each" in note for note in notes[4:])


def named(result: Result, name: str) -> Result:
    return replace(result, recipe={**result.recipe, "name": name})


def test_what_was_cut_of_a_recipe_is_not_told_again_of_its_controls(result: Result) -> None:
    cut = replace(result, truncated={"train": 3, "validation": 0, "test": 0})
    found = [cut, named(cut, "toy_bert+untrained"), named(cut, "toy_bert+again"), named(cut, "other+shuffled")]
    lines = [note for note in table(found).notes if " texts cut " in note]
    assert [line.partition(":")[0] for line in lines] == ["toy_bert", "other+shuffled"]


def test_labels_that_no_training_row_has_are_told_and_a_run_counts_them(result: Result) -> None:
    assert result.unseen == ()
    assert Result.from_json(result.to_json()).unseen == ()
    two = replace(result, labels=tuple("abcdefgh"), unseen=tuple("abcdef"))
    told = "toy_bert: 6 of 8 labels have none of the 54 training rows, so nothing learns them: a, b, c, d, e …"
    assert told in table([two, named(two, "toy_bert+again")]).notes
    assert not any("training rows" in note for note in table([result]).notes)


def test_a_table_wider_than_the_screen_says_once_what_all_rows_have_and_goes_on_below(result: Result) -> None:
    wide = table([with_seed(result, 0, 0.8), replace(with_settings(result), updates=100)])
    assert wide.terminal(1000) == wide.terminal()
    told = next(line for line in wide.terminal(100).splitlines() if line.startswith("in every row: train rows 54, "))
    assert "test rows 30" in told
    assert "seeds 1" in told
    cells = {cell for row in wide.rows for cell in row}
    for width in range(60, 110):
        text = wide.terminal(width)
        above, _, _ = text.partition("\n\nin every row: ")
        assert max(map(len, above.splitlines())) <= width
        assert all(cell in text for cell in cells)
        assert len([line for line in above.splitlines() if line.startswith("toy_bert")]) % 2 == 0
    alone = table([result]).terminal(60)
    assert "in every row" not in alone
    assert all(cell in alone for cell in table([result]).rows[0])


def test_only_a_screen_folds_a_table(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = table([result])
    monkeypatch.setenv("COLUMNS", "80")
    assert commands.written(wide, "terminal") == wide.terminal()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert commands.written(wide, "terminal") == wide.terminal(80) != wide.terminal()
    assert commands.written(wide, "markdown") == wide.markdown()


def test_one_seed_is_told_to_have_no_spread_and_named_where_others_have_more(result: Result) -> None:
    lora = replace(with_settings(result), updates=100)
    plain = replace(result, test_rows_in_train=0, updates=100)
    two = [with_seed(plain, 0, 0.8), with_seed(plain, 1, 0.9)]
    assert table([plain]).notes == (ONE_SEED,)
    assert table(two).notes == ("95 % interval: over test rows and seeds",)
    assert table([*two, replace(lora, test_rows_in_train=0)]).notes == (
        "95 % interval: over test rows and seeds",
        "one seed, so no spread, and no interval but over test rows: toy_bert lora",
    )


def test_a_backbone_that_hardly_moved_is_told_with_its_updates_and_a_head_on_features_is_not(result: Result) -> None:
    short = replace(result, test_rows_in_train=0, updates=6)
    told = "few updates, which is no verdict on a method: toy_bert full 6; a smaller budget.batch_size or more"
    assert table([short]).notes[0].startswith(told)
    head = replace(short, seconds={**short.seconds, "features": 2.0})
    assert table([head]).notes == (ONE_SEED,)


def test_a_diverged_run_is_told_with_its_seed(result: Result) -> None:
    diverged = replace(with_seed(result, 1, 0.9), status="diverged", scores={})
    why = "a loss or gradient was no number, or 20 losses in a row above 10 times their median"
    assert f"toy_bert full: diverged with seed 1: {why}" in table([with_seed(result, 0, 0.8), diverged]).notes


def test_what_a_run_saved_is_a_dash_where_it_saved_nothing_and_no_part_of_the_mean(result: Result) -> None:
    kept = replace(with_seed(result, 0, 0.8), saved="model", saved_bytes=3_000_000)
    diverged = replace(with_seed(result, 1, 0.9), status="diverged", scores={}, saved="", saved_bytes=0)
    assert [cells(runs)["saved MB"] for runs in ([kept, diverged], [diverged])] == ["3.00", "–"]


def test_notes_stand_below_the_table_are_comments_in_latex_and_no_part_of_a_csv(result: Result) -> None:
    found = replace(table([result]), notes=("first", "second"))
    bare = replace(found, notes=())
    assert found.terminal() == bare.terminal() + "\n\nfirst\nsecond"
    assert found.markdown() == bare.markdown() + "\n\n- first\n- second"
    assert found.latex() == bare.latex() + "\n% first\n% second"
    assert found.csv() == bare.csv()


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


def test_runs_of_two_machines_are_told_apart_since_their_times_do_not_compare(result: Result) -> None:
    other = replace(with_seed(result, 1, 0.9), environment={**result.environment, "device": "cpu (another)"})
    here = f"{result.environment['device']}, {result.environment['threads']} threads"
    note = f"times do not compare: runs are of {here} (1); cpu (another), {result.environment['threads']} threads (1)"
    assert note in table([result, other]).notes
    assert not any("times do not compare" in each for each in table([result]).notes)
