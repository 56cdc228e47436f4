"""Equal chances: what is tried, what is chosen by, and that the test rows are looked at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune import AdamW, Frozen, Full, InputError, LoRA, Recipe, Result, grid, run
from finetune.choice import winner
from finetune.cli import main
from finetune.controls import control
from finetune.engines import Failure
from finetune.engines.here import Here
from finetune.items import Items
from finetune.methods.majority import Majority
from finetune.report.curves import budgets
from finetune.report.labels import labels
from finetune.report.layers import layers
from finetune.report.shared import shared
from finetune.report.tables import table
from finetune.report.trials import trials
from finetune.session import Session, session
from finetune.stats import Estimate
from finetune.tuning import OPENINGS, opened, tune
from finetune.tuning import trials as tries
from tests.told import Told


def with_method(toy: Callable[[str], Recipe], method: Frozen | Full | LoRA | Majority) -> Recipe:
    return replace(toy("bert"), method=method)


def test_every_method_tries_as_many_rates_around_its_own_default_whatever_the_recipe_says(
    toy: Callable[[str], Recipe],
) -> None:
    rates = {
        kind: [
            each.method.optim.learning_rate for each in tries(with_method(toy, kind(optim=AdamW(learning_rate=0.5))), 5)
        ]
        for kind in (Full, LoRA)
    }
    assert rates[Full] == [5e-6, 1.6e-5, 5e-5, 1.6e-4, 5e-4]
    assert rates[LoRA] == [5e-5, 1.6e-4, 5e-4, 1.6e-3, 5e-3]  # ten times as large; three are shared


def test_a_trial_keeps_everything_of_the_recipe_but_its_rate_and_the_test_set(toy: Callable[[str], Recipe]) -> None:
    recipe = with_method(toy, LoRA(rank=3))
    (first, _) = tries(recipe, 2)
    optim = replace(recipe.method.optim, learning_rate=first.method.optim.learning_rate)
    assert first.split.closed
    assert replace(first, split=recipe.split, method=replace(first.method, optim=optim)) == replace(
        recipe, method=replace(recipe.method, optim=optim)
    )


def test_where_there_is_nothing_to_choose_nothing_is_tried(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = with_method(toy, Majority())
    found = tune([recipe], 5, out=tmp_path)
    assert (found.recipes, found.trials) == ((recipe,), ())


def test_one_trial_is_no_choice(toy: Callable[[str], Recipe]) -> None:
    with pytest.raises(InputError, match="trials must be at least 2, got 1: of one there is nothing to choose"):
        tune([toy("bert")], 1)


def test_a_trial_reads_no_test_row_and_saves_no_model(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr("finetune.session.Session._rows", _noting(read))
    result = run(replace(with_method(toy, Full()), split=replace(toy("bert").split, test_rows=0)), out=tmp_path)
    assert set(read) == {"train", "validation"}
    assert result.trial
    assert (result.scores, result.items, result.saved, result.rows["test"]) == ({}, None, "", 0)
    assert result.validation["accuracy"].n == result.rows["validation"] == 6
    assert result.validation_loss is not None
    assert result.folder is not None
    left = sorted(path.name for path in result.folder.iterdir())
    assert left == ["curve.jsonl", "recipe.json", "result.json", "status.json"]


def _noting(read: list[str]) -> Callable[..., object]:
    rows = Session._rows

    def noted(self: Session, part: str) -> object:
        read.append(part)
        return rows(self, part)

    return noted


def test_trials_and_what_is_chosen_by_them_share_what_they_read(toy: Callable[[str], Recipe]) -> None:
    recipe = toy("bert")
    closed = session(replace(recipe, split=replace(recipe.split, test_rows=0))).examples()
    assert [session(recipe).examples()[part].key for part in closed] == [each.key for each in closed.values()]
    fewer = session(replace(recipe, split=replace(recipe.split, per_class=4))).examples()
    assert fewer["test"].key == session(recipe).examples()["test"].key


@pytest.fixture
def trial(toy: Callable[[str], Recipe], tmp_path: Path) -> Result:
    recipe = with_method(toy, Full())
    return run(replace(recipe, split=replace(recipe.split, test_rows=0)), out=tmp_path)


def scored(trial: Result, value: float, loss: float = 1.0, rate: float = 5e-5, method: str = "Full") -> Result:
    recipe = {**trial.recipe, "method": {"type": method, "optim": {"type": "AdamW", "learning_rate": rate}}}
    validation = {"accuracy": Estimate(value, value - 0.1, value + 0.1, 50)}
    return replace(trial, recipe=recipe, method=method.lower(), validation=validation, validation_loss=loss)


def test_the_validation_score_chooses_and_the_loss_where_that_is_equal(trial: Result) -> None:
    found = [scored(trial, 0.8, 0.1), scored(trial, 0.9, 0.7), scored(trial, 0.9, 0.6)]
    assert winner(found) is found[2]
    assert winner([replace(each, validation={}) for each in found]) is None


def test_the_best_trials_setting_is_what_is_compared(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipes = [with_method(toy, Full()), with_method(toy, Frozen())]
    told = Told()
    found = tune(recipes, 3, out=tmp_path, progress=told)
    full, frozen = found.recipes
    best = winner([each for each in found.trials if each.method == "full"])
    assert best is not None
    assert full.method.optim.learning_rate == best.recipe["method"]["optim"]["learning_rate"]
    assert full.split == recipes[0].split
    swept = next(each for each in found.trials if each.method == "frozen")
    assert swept.choice is not None
    assert (frozen.method.layer, frozen.method.pooling) == (swept.choice["layer"], swept.choice["pooling"])
    assert len(found.trials) == 4


def test_a_method_none_of_whose_trials_came_to_a_score_is_told_with_the_reason(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    found = tune([with_method(toy, Diverging())], 2, out=tmp_path)
    assert found.recipes == ()
    assert [each.reason for each in found.failures] == ["trial diverged"]


class Diverging(Full):
    """Whatever the rate."""

    optim = AdamW(learning_rate=1e30)


def test_a_second_comparison_on_the_same_test_rows_is_told_and_the_same_one_again_is_not(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    start = datetime.now()
    one = run(with_method(toy, Frozen(penalty=1e-2)), out=tmp_path)
    (first,) = opened([one], start, tmp_path)
    (again,) = opened([one], start, tmp_path)
    assert first.opened == again.opened
    assert first.opened is not None
    assert first.opened["before"] == []
    other = run(with_method(toy, Frozen(penalty=1e-1)), out=tmp_path)
    (second,) = opened([other], start, tmp_path)
    assert second.opened is not None
    assert second.opened["before"] == [first.opened["time"]]
    assert len((tmp_path / OPENINGS).read_text().splitlines()) == 2
    assert any("test set opened once, on 20" in note for note in table([first]).notes)
    assert any("test set reused: at least 1 other run or comp" in note for note in table([second]).notes)
    assert opened([one], start, tmp_path)[0].opened["before"] == []  # what came later takes nothing away


def test_a_comparison_with_more_drawings_of_random_weights_is_the_same_one(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    start, recipe = datetime.now(), with_method(toy, Frozen(penalty=1e-2))
    every = [run(each, out=tmp_path) for each in grid.seeds([recipe, control(recipe, "untrained")], 2)]
    (earlier,) = {str(each.opened) for each in opened(every[::2], start, tmp_path)}
    assert {str(each.opened) for each in opened(every, start, tmp_path)} == {earlier}
    assert len((tmp_path / OPENINGS).read_text().splitlines()) == 1


def test_a_run_that_was_scored_on_the_rows_before_counts_as_a_look_though_it_was_of_no_comparison(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    start = datetime.now()
    for seed in (0, 1):
        run(replace(with_method(toy, Frozen(penalty=1e-1)), seed=seed), out=tmp_path)
    (chosen,) = opened([run(with_method(toy, Frozen(penalty=1e-2)), out=tmp_path)], start, tmp_path)
    assert chosen.opened is not None
    assert len(chosen.opened["before"]) == 1  # of one recipe with two seeds
    run(with_method(toy, Frozen(penalty=1.0)), out=tmp_path)
    (again,) = opened([chosen], start, tmp_path)
    assert again.opened == chosen.opened


def test_a_run_of_what_is_chosen_later_is_a_look_if_the_trials_were_not_made_yet(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = with_method(toy, Frozen(penalty=1e-2))
    early = run(replace(recipe, seed=7), out=tmp_path)
    assert early.folder is not None
    os.utime(early.folder / "result.json", (86_400, 86_400))
    (chosen,) = opened([run(recipe, out=tmp_path)], datetime.now() - timedelta(hours=1), tmp_path)
    assert chosen.opened is not None
    assert [each[:4] for each in chosen.opened["before"]] == ["1970"]


def test_trials_are_made_by_the_time_that_is_said(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    start = datetime.now()
    first = tune([toy("bert")], 2, out=tmp_path)
    assert start <= first.chosen <= datetime.now()
    again = tune([toy("bert")], 2, out=tmp_path)
    assert abs(again.chosen - first.chosen) < timedelta(seconds=2)  # when they were made, not when they were read


def test_a_damaged_record_and_one_of_another_version_are_no_looks(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    one = run(with_method(toy, Frozen(penalty=1e-2)), out=tmp_path)
    for name, text in (("torn", "{"), ("old", '{"recipe": {}}'), ("other", "[]")):
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "result.json").write_text(text)
    (chosen,) = opened([one], datetime.now() - timedelta(hours=1), tmp_path)
    assert chosen.opened is not None
    assert chosen.opened["before"] == []


def test_rows_of_the_same_ids_in_another_data_set_are_others(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    start = datetime.now()
    one = run(with_method(toy, Frozen(penalty=1e-2)), out=tmp_path)
    opened([one], start, tmp_path)
    (other,) = opened([replace(one, data={**one.data, "sha256": "0" * 64})], start, tmp_path)
    assert other.opened is not None
    assert other.opened["before"] == []


def test_of_two_test_sets_that_were_opened_in_one_second_each_is_told_by_its_recipe(trial: Result) -> None:
    looks = {"time": "2026-11-27T10:00:00+00:00", "comparison": "a"}
    sets = [
        opened_at(trial, name="seen", rows="1", opened={**looks, "before": ["2026-11-26T10:00:00+00:00"]}),
        opened_at(trial, name="new", rows="2", opened={**looks, "before": []}),
    ]
    said = [note for note in table(sets).notes if note.startswith("test set")]
    assert said == [
        "test set of seen reused: at least 1 other run or comparison had looked at these test rows before, first on "
        "2026-11-26T10:00:00+00:00",
        "test set of new opened once, on 2026-11-27T10:00:00+00:00, after every choice",
    ]
    dealt = opened_at(trial, name="seen+shuffled", rows="3", opened={**looks, "before": []})
    assert [
        note for note in table([*sets, dealt]).notes if note.startswith("test set")
    ] == said  # a control has its rows


def opened_at(trial: Result, *, name: str, rows: str, opened: dict[str, object]) -> Result:
    return replace(
        scored(trial, 0.8, rate=5e-5),
        recipe={**trial.recipe, "name": name},
        rows={**trial.rows, "test": 4},
        scores={"accuracy": Estimate(0.5, 0.1, 0.9, 4)},
        items=Items.of([rows + each for each in "abcd"], np.array([1.0, 0.0, 1.0, 0.0]), None),
        opened=opened,
    )


def test_a_table_by_trial_has_a_column_for_each_rate_and_says_what_is_chosen_and_at_the_edge(trial: Result) -> None:
    full = [scored(trial, value, rate=rate) for value, rate in ((0.7, 5e-6), (0.8, 5e-5), (0.9, 5e-4))]
    lora = [scored(trial, value, rate=rate, method="LoRA") for value, rate in ((0.6, 5e-5), (0.95, 5e-4), (0.5, 5e-3))]
    found = trials([*full, *lora])
    assert found.header[-5:] == ("5e-06", "5e-05", "0.0005", "0.005", "chosen")
    assert found.rows[0][-5:] == ("70.0 ±10.0", "80.0 ±10.0", "90.0 ±10.0", "–", "0.0005")
    assert found.rows[1][-5:] == ("–", "60.0 ±10.0", "95.0 ±10.0", "50.0 ±10.0", "0.0005")
    notes = "\n".join(found.notes)
    assert (
        "full: learning rate 0.0005 chosen of 3 from 5e-06 to 0.0005 by 6 validation rows; it is at the edge" in notes
    )
    assert "the best may be higher" in notes
    assert notes.count("at the edge") == 1  # LoRA's is not


def test_what_one_rate_for_all_would_have_said_stands_beside_each_at_its_own(trial: Result) -> None:
    full = [scored(trial, value, rate=rate) for value, rate in ((0.9, 5e-5), (0.8, 5e-4))]
    lora = [scored(trial, value, rate=rate, method="LoRA") for value, rate in ((0.4, 5e-5), (0.8, 5e-4), (0.95, 5e-3))]
    there = replace(scored(trial, 0.1, rate=5e-3), status="diverged", validation={}, shared=True)
    found = shared([*full, *lora, there])
    assert found.header[-4:] == ("learning rate", "full", "lora", "ahead")
    assert [row[-4:] for row in found.rows] == [
        ("5e-05", "90.0 ±10.0", "40.0 ±10.0", "full by 50.0"),
        ("0.0005", "80.0 ±10.0", "80.0 ±10.0", "none"),
        ("0.005", "diverged", "95.0 ±10.0", "lora"),
        ("each its own", "90.0 ±10.0", "95.0 ±10.0", "lora by 5.0"),
    ]
    without = shared([*full, *lora]).rows[2]
    assert without[-4:] == ("0.005", "–", "95.0 ±10.0", "–")  # where full fine-tuning was not tried
    level = shared([scored(trial, 0.90001), scored(trial, 0.9, method="LoRA")])
    assert [row[-1] for row in level.rows] == ["none", "none"]


def test_one_rate_for_all_is_told_of_each_attention_and_number_of_labels_by_itself(trial: Result) -> None:
    def of(result: Result, attention: str, labels: int) -> Result:
        split = {**result.recipe["split"], "per_class": labels}
        return replace(result, recipe={**result.recipe, "attention": {"type": attention}, "split": split})

    both = [scored(trial, 0.9, rate=5e-5), scored(trial, 0.8, rate=5e-4, method="LoRA")]
    # of full fine-tuning with 8 labels nothing came to a score
    found = shared(
        [
            *(of(each, "Uniform", 16) for each in both),
            *(of(each, "Cosine", 16) for each in both),
            of(both[1], "Uniform", 8),
        ]
    )
    assert [row[-1] for row in found.rows] == ["–", "–", "full by 10.0"] * 2


def test_an_extra_trial_that_fails_is_told_and_what_is_compared_is_as_without_it(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = [with_method(toy, Full()), with_method(toy, LoRA())]
    sound = tune(recipes, 2, out=tmp_path)
    own = {each.recipe["method"]["optim"]["learning_rate"] for each in sound.trials if not each.shared}
    ran = Here.run

    def fails(self: Here, runs: Any, *rest: Any) -> Any:
        found = ran(self, runs, *rest)
        extra = len(runs) == 2
        return {each: Failure(each, "the disk is gone") if extra else outcome for each, outcome in found.items()}

    monkeypatch.setattr(Here, "run", fails)
    told = Told()
    found = tune(recipes, 2, out=tmp_path, progress=told)
    assert (found.recipes, found.failures) == (sound.recipes, ())
    assert {each.recipe["method"]["optim"]["learning_rate"] for each in found.trials} == own
    assert sum(line.endswith(": the disk is gone") and ", the best of toy_bert " in line for line in told.lines) == 2


def test_each_method_is_also_trained_at_the_best_rate_of_the_other_and_chooses_nothing_by_it(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    found = tune([with_method(toy, Full()), with_method(toy, LoRA())], 2, out=tmp_path)
    rates = {method: [] for method in ("full", "lora")}
    for each in found.trials:
        rates[each.method].append((each.recipe["method"]["optim"]["learning_rate"], bool(each.shared)))
    bests = {each.method.optim.learning_rate for each in found.recipes}
    for method, tried in rates.items():
        assert [lent for _, lent in tried] == [False, False, True], method
        assert bests <= {rate for rate, _ in tried}
    # however well it did there
    lent = [replace(each, validation={"accuracy": Estimate(1.0, 0.9, 1.0, 50)}) for each in found.trials if each.shared]
    told = trials([*(each for each in found.trials if not each.shared), *lent])
    assert [row[-1] for row in told.rows] == [f"{each.method.optim.learning_rate:g}" for each in found.recipes]
    assert sum("chosen of 2 from" in note for note in told.notes) == 2
    assert all(row.count("–") == 2 for row in told.rows)  # a rate of the other is no setting of its own


def test_a_trial_that_diverged_is_told_as_such(trial: Result) -> None:
    lost = replace(scored(trial, 0.1, rate=5e-4), status="diverged", validation={})
    (row,) = trials([scored(trial, 0.8), lost]).rows
    assert row[-3:] == ("80.0 ±10.0", "diverged", "5e-05")


def test_trials_are_no_rows_of_the_table_they_led_to(
    toy: Callable[[str], Recipe], tmp_path: Path, trial: Result
) -> None:
    final = run(with_method(toy, Full()), out=tmp_path)
    found = table([final, scored(trial, 0.8), scored(trial, 0.7, rate=5e-4)])
    assert len(found.rows) == 1
    assert any("learning rate 5e-05 chosen of 2" in note for note in found.notes)


def test_by_layer_each_place_has_its_scores(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    tuned = tune([with_method(toy, Frozen())], 2, out=tmp_path)
    found = layers(tuned.trials)
    assert [row[2] for row in found.rows] == ["0", "1", "2"]
    places = [f"{pooling} {kind} %" for kind in ("ridge", "neighbours") for pooling in ("cls", "mean", "last")]
    assert found.header[3:] == (*places, "chosen")
    choice = tuned.trials[0].choice
    assert choice is not None
    assert [row[-1] for row in found.rows if row[-1]] == [choice["pooling"]]
    assert any(f"chosen of {choice['probes']} heads by 6 validation rows" in note for note in found.notes)


OWN = """
from finetune import Budget, Classification, Local, Recipe
from finetune.data.toy import ToyText
from finetune.methods.full import Full

recipe = Recipe(name="own", checkpoint=Local({!r}), data=ToyText(), task=Classification(), method=Full(),
                budget=Budget(epochs=2, batch_size=16), precision="float32")
"""


@pytest.fixture
def toy_file(tmp_path: Path, checkpoint: Callable[[str], Path], own_cache: Path) -> Path:
    assert not own_cache.exists()
    path = tmp_path / "own.py"
    path.write_text(OWN.format(str(checkpoint("bert"))))
    return path


def test_the_command_tries_chooses_compares_and_saves_all_three_tables(
    toy_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    call = ["compare", str(toy_file), "--methods", "frozen,full", "--trials", "2", "--seeds", "2", "--out", out]
    assert main([*call, "--save", "tuned"]) == 0
    said = capsys.readouterr().out
    assert "learning rate" in said
    assert "test set opened once" in said
    folder = tmp_path / "out" / "tables"
    assert {path.name for path in folder.glob("*.md")} == {"tuned.md", "tuned-trials.md", "tuned-layers.md"}
    records = json.loads((folder / "tuned.json").read_text())
    assert len(records) == 4 + 3
    for layout, name in (("method", "tuned"), ("trial", "tuned-trials"), ("layer", "tuned-layers")):
        assert main(["tables", "tuned", "--by", layout, "--format", "markdown", "--out", out]) == 0
        assert capsys.readouterr().out == (folder / f"{name}.md").read_text()
    assert main(["verdict", "tuned", "--out", out]) == 0


def test_a_table_by_labels_has_a_column_for_each_budget_and_says_who_leads_from_where(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipes = grid.labels([with_method(toy, Frozen()), with_method(toy, Full())], "4,8,all")
    found = grid.compare(grid.seeds(recipes, 2), out=tmp_path).table(labels)
    assert found.header[-3:] == ("4", "8", "all")
    assert len(found.rows) == 2
    assert all(" to " in cell for row in found.rows for cell in row[-3:])
    notes = "\n".join(found.notes)
    assert "toy_bert, training rows: 4 12, 8 24, all 54" in notes
    assert "toy_bert full" in notes
    assert "leads" in notes
    assert "holds for all 3 comparisons of two rows in a column together" in notes


def test_controls_are_rows_of_a_table_by_labels_and_have_no_part_in_who_leads(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    own = [with_method(toy, Frozen()), with_method(toy, Full())]
    every = grid.labels([*own, with_method(toy, Majority()), control(own[0], "untrained")], "4,8")
    results = grid.compare(grid.seeds(every, 2), out=tmp_path).results
    found = labels(results)
    rows = [("toy_bert", "frozen"), ("toy_bert", "full"), ("toy_bert", "majority"), ("toy_bert+untrained", "frozen")]
    assert [row[:2] for row in found.rows] == rows
    assert all(" to " in cell for row in found.rows for cell in row[-2:])
    (line,) = [note for note in found.notes if "leads" in note]
    assert "majority" not in line
    assert "untrained" not in line
    assert any("holds for all 2 comparisons" in note for note in found.notes)
    assert [note for note in found.notes if "training rows:" in note] == ["toy_bert, training rows: 4 12, 8 24"]
    (panel,) = budgets(results).axes
    assert {text.get_text().strip() for text in panel.texts} == {"frozen", "full"}


def test_which_of_two_curves_is_better_where_is_said_by_name_and_all_comparisons_are_counted(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    start, ids = run(toy("bert"), out=tmp_path), [str(number) for number in range(1000)]

    def runs(method: str, cap: int, wrong: int) -> list[Result]:
        recipe = {**start.recipe, "method": {"type": method}, "split": {**start.recipe["split"], "per_class": cap}}
        found = []
        for seed in range(3):
            right_N = np.arange(1000) >= wrong
            right_N[[-1 - 2 * seed, -2 - 2 * seed]] = False
            items, rows = Items.of(ids, right_N), {**start.rows, "train": 3 * cap, "test": 1000}
            found.append(replace(start, recipe={**recipe, "seed": seed}, method=method, items=items, rows=rows))
        return found

    few = [*runs("one", 4, 300), *runs("other", 4, 200), *runs("one", 8, 100), *runs("other", 8, 150)]
    (line,) = [note for note in labels(few).notes if "leads from" in note]
    assert "toy_bert other is better with 4 labels a class and toy_bert one is better with 8" in line


def test_curves_of_two_recipes_on_the_same_rows_are_compared_and_drawn_in_one_panel(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    here = [with_method(toy, Frozen()), replace(with_method(toy, Full()), name="other")]
    results = grid.compare(grid.seeds(grid.labels(here, "4,8"), 2), out=tmp_path).results
    assert any("other full" in note and "toy_bert frozen" in note and "leads" in note for note in labels(results).notes)
    panels = budgets(results).axes
    assert [each.get_title() for each in panels] == ["toy_bert and other"]
    far = [replace(run, rows={**run.rows, "train": run.rows["train"] + 1}) for run in results if run.method == "full"]
    kept = [run for run in results if run.method != "full"]
    assert not any("leads" in note for note in labels([*kept, *far]).notes)


@pytest.mark.parametrize("text", ["8,none", "0", "", "-1"])
def test_labels_that_are_no_number_are_refused(toy: Callable[[str], Recipe], text: str) -> None:
    with pytest.raises(InputError, match="--labels takes numbers above 0 and all, separated by commas, got"):
        grid.labels([toy("bert")], text)


def test_few_rows_are_passed_over_until_there_are_as_many_updates_as_asked(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = with_method(toy, Full())
    short = replace(recipe, split=replace(recipe.split, per_class=4), budget=replace(recipe.budget, least_updates=7))
    result = run(short, out=tmp_path)
    assert (result.rows["train"], result.updates, result.epochs) == (12, 7, 7)


def test_what_was_tried_is_drawn(toy_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    call = ["compare", str(toy_file), "--methods", "frozen,full", "--trials", "2", "--seeds", "1", "--out", out]
    assert main([*call, "--save", "tuned"]) == 0
    for by in ("trial", "layer"):
        picture = tmp_path / f"{by}.svg"
        assert main(["tables", "tuned", "--by", by, "--figure", str(picture), "--out", out]) == 0
        assert f"drawn: {picture}" in capsys.readouterr().out
        assert picture.read_text().startswith("<?xml")


def test_a_table_of_trials_or_layers_without_any_says_how_there_would_be_some(trial: Result) -> None:
    run = replace(trial, rows={**trial.rows, "test": 30}, choice=None)
    assert trials([run]).notes == (
        "nothing was tried: `finetune compare … --trials 5` gives each method five settings",
    )
    assert layers([run]).notes[0].startswith("no frozen backbone was swept: `finetune compare … --methods frozen ")


def test_only_what_was_varied_is_drawn(toy_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["compare", str(toy_file), "--methods", "full", "--seeds", "1", "--out", out, "--save", "plain"]) == 0
    for by, words in (
        ("method", "--figure draws a table by trial, rate, layer, labels, length, study, got --by method"),
        ("trial", "there is nothing to draw over learning rate: no run was made for that"),
    ):
        assert main(["tables", "plain", "--by", by, "--figure", str(tmp_path / "x.svg"), "--out", out]) == 2
        assert words in capsys.readouterr().err
