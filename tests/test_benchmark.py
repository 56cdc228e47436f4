"""Benchmark tables: what stands beside what, what is reproduced, and that everything the shipped ones name exists."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune import (
    Benchmark,
    BenchmarkTable,
    InputError,
    Published,
    Result,
    Runs,
    catalog,
    paired,
)
from finetune.cli import main
from finetune.commands.table import recipes
from finetune.controls import controls
from finetune.items import Items
from finetune.progress import Silent
from finetune.report import records
from finetune.report.beside import beside
from finetune.report.groups import Failed, groups
from finetune.report.reproduction import checks, outcomes, runs_of
from finetune.report.tables import Table
from finetune.stats import Estimate
from finetune.transformer.tokenizers.characters import Characters
from finetune.transformer.tokenizers.words import Words

COMMITTED = Path(__file__).parents[1] / "outputs" / "tables"
NAMES = sorted(catalog.section("tables"))
RUN = next(run for run in records.read(COMMITTED, "topics") if run.method == "full")

OWN = """from finetune import Budget, Classification, Files, Full, Local, Recipe

recipe = Recipe(
    name="mine",
    checkpoint=Local({checkpoint!r}),
    data=Files(train={train!r}),
    task=Classification(),
    method=Full(),
    budget=Budget(epochs=1, batch_size=8),
    precision="float32",
)
"""
OWN_TABLE = """from finetune import Benchmark, BenchmarkTable, Published, Runs

runs = Runs(recipes=({recipe!r},), methods=("frozen", "full"), seeds=2, settings=("method.optim.learning_rate=1e-4",))
published = Published(system="others", value=0.5, n=100, source="a paper")
table = BenchmarkTable(benchmarks=(Benchmark(data="animals", runs=(runs,), published=(published,)),))
"""


def run(value: float, seed: int = 0, method: str = "full") -> Result:
    """A run with that accuracy, whose standard error over test rows is half a point."""
    scores = {"accuracy": Estimate(value, value - 0.0098, value + 0.0098, 2189)}
    return replace(RUN, scores=scores, items=None, method=method, recipe={**RUN.recipe, "seed": seed})


def one(*published: Published, settings: Sequence[str] = (), seeds: int = 1) -> BenchmarkTable:
    runs = Runs(recipes=("bert_r8",), methods=("full",), seeds=seeds, settings=tuple(settings))
    return BenchmarkTable(benchmarks=(Benchmark(data="R8", runs=(runs,), published=published),))


def published(value: float, **more: object) -> Published:
    return Published(system="BERT", value=value, source="a paper", reproduced_by="bert_r8 full", **more)  # pyright: ignore


def cells(table: Table, row: int) -> dict[str, str]:
    return dict(zip(table.header, table.rows[row], strict=True))


@pytest.mark.parametrize(
    ("values", "reference", "kind"),
    [
        ([0.95], 0.9599, "reproduced"),  # two standard errors of half a point
        ([0.95], 0.9601, "missed"),
        ([0.95], 0.9399, "missed"),
        ([0.948, 0.95, 0.952], 0.9622, "reproduced"),  # twice 0.513, and 0.2 of the seeds
        ([0.948, 0.95, 0.952], 0.9623, "missed"),
    ],
)
def test_reproduced_is_within_two_standard_errors_and_the_seeds_and_not_beyond(
    values: list[float], reference: float, kind: str
) -> None:
    runs = [run(value, seed) for seed, value in enumerate(values)]
    (found,) = outcomes(one(published(reference)), runs)
    assert found.kind == kind


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        (published(0.974, deviation=0.015), "reproduced"),  # they say that their seeds differ more
        (published(0.974, deviation=0.013), "missed"),
        (published(0.974, n=100), "reproduced"),  # theirs is of so few rows
        (published(0.974, n=40_000), "missed"),
        (published(0.91, high=0.949), "reproduced"),
        (published(0.91, high=0.93), "missed"),
    ],
)
def test_what_is_not_sure_of_the_published_number_counts_too(reference: Published, kind: str) -> None:
    (found,) = outcomes(one(reference), [run(0.95)])
    assert found.kind == kind


def test_within_a_published_range_nothing_is_apart() -> None:
    (found,) = outcomes(one(published(0.94, high=0.96)), [run(0.95)])
    assert (found.kind, found.apart) == ("reproduced", 0.0)
    assert "reproduces 94.00 to 96.00 % (a paper): +0.00 points" in found.sentence


def test_a_row_without_a_published_number_is_held_against_its_own_record() -> None:
    before = [replace(run(0.95), seconds={**RUN.seconds, "train": 1.0})]
    for value, kind in ((0.9595, "reproduced"), (0.9605, "missed")):
        (found,) = outcomes(one(), [run(value)], before)
        assert (found.kind, found.reference and found.reference.source) == (kind, "our record")
    (itself,) = outcomes(one(), before, before)
    assert (itself.kind, itself.why.partition(":")[0]) == ("open", "the record itself")


def test_a_record_of_other_data_reproduces_nothing_and_both_contents_are_named() -> None:
    before = [replace(run(0.95), data={**RUN.data, "sha256": "beefcafe" * 8}, seconds={**RUN.seconds, "train": 1.0})]
    (found,) = outcomes(one(), [run(0.95)], before)
    assert found.kind == "missed"
    assert found.sentence.startswith(
        f"bert_r8 full: our record is of other data (sha256 beefcafe, now {RUN.data['sha256'][:8]}), so nothing of it"
    )


def test_what_there_is_nothing_to_say_of_is_open_and_a_run_without_a_score_reproduces_nothing() -> None:
    assert [each.why for each in outcomes(one(published(0.95)), [])] == ["not run"]
    assert outcomes(one(), [run(0.95)])[0].why.startswith("nothing to reproduce")
    lost = replace(run(0.95, 1), status="diverged", scores={})
    (found,) = outcomes(one(published(0.95)), [run(0.95), lost])
    assert found.kind == "missed"
    assert found.sentence == "bert_r8 full: 1 of 2 runs came to no score, so 95.00 % is not reproduced"


def test_every_outcome_is_a_row_and_they_are_counted_below() -> None:
    found = checks(outcomes(one(published(0.95), published(0.99)), [run(0.95)]))
    assert [cells(found, row)["outcome"] for row in (0, 1)] == ["reproduced", "missed"]
    assert (cells(found, 1)["points apart"], cells(found, 1)["tolerance"]) == ("-4.00", "1.00")
    assert found.notes[0] == "1 reproduced, 1 missed, 0 open"


def test_a_published_row_carries_its_source_its_n_and_its_standard_error_and_what_was_not_said_is_a_dash() -> None:
    bare = Published(system="Other", value=0.9, source="a poster")
    made = beside(one(Published(system="BERT", value=0.978, n=2189, seeds=1, source="a paper"), bare), [])
    row, other = cells(made, 1), cells(made, 2)
    assert (row["system"], row["value %"], row["test rows"], row["seeds"]) == ("BERT", "97.80", "2189", "1")
    assert (row["standard error"], row["± seeds"], row["source"]) == ("0.31", "–", "a paper")
    assert (other["test rows"], other["seeds"], other["standard error"], other["source"]) == ("–", "–", "–", "a poster")


def test_our_interval_is_over_test_rows_and_seeds_where_records_say_which_rows_were_right() -> None:
    scores_SN = np.random.default_rng(0).random((3, 2189)) < np.array([[0.93], [0.95], [0.97]])
    ids = [str(number) for number in range(2189)]
    runs = [replace(run(0.95, seed), items=Items.of(ids, right_N)) for seed, right_N in enumerate(scores_SN)]
    over = paired.share(scores_SN.astype(float))
    assert over.low is not None
    assert over.high is not None
    assert cells(beside(one(seeds=3), runs), 0)["95 % interval"] == f"{100 * over.low:.2f} to {100 * over.high:.2f}"
    assert over.high < 1
    assert over.high - over.low > 0.04  # 1.8 points over rows alone


def test_what_no_record_says_of_a_data_set_stands_below_the_table() -> None:
    asked = one(seeds=1)
    noted = replace(asked, benchmarks=tuple(replace(each, notes=("a word",)) for each in asked.benchmarks))
    assert f"{asked.benchmarks[0].data}: a word" in beside(noted, [run(0.95, 0)]).notes


def test_rows_that_were_held_out_of_training_are_told() -> None:
    runs = [replace(run(0.95, seed), rows={**RUN.rows, "validation": count}) for seed, count in enumerate((7, 548))]
    assert "held out of the training rows, for validation: bert_r8 7 to 548" in beside(one(seeds=2), runs).notes
    without = [replace(each, rows={**RUN.rows, "validation": 0}) for each in runs]
    assert not any("held out" in note for note in beside(one(seeds=2), without).notes)


def test_the_error_of_a_published_mean_counts_seeds_where_their_number_is_known() -> None:
    both = published(0.5, n=10_000, deviation=0.03, seeds=9)
    assert both.error == pytest.approx((0.005**2 + 0.01**2) ** 0.5)
    assert published(0.5, n=10_000, deviation=0.03).error == pytest.approx(0.005)
    assert published(0.5, deviation=0.03, seeds=9).error is None
    assert published(0.5, n=10_000, score="macro_f1").error is None  # no share of rows, so n does not tell it


def test_our_row_has_mean_deviation_n_and_error_and_an_open_one_is_dashes() -> None:
    table = BenchmarkTable(
        benchmarks=(Benchmark(data="R8", runs=(Runs(recipes=("bert_r8",), methods=("full", "lora"), seeds=2),)),)
    )
    made = beside(table, [run(0.94), run(0.96, 1), replace(run(0.5), recipe={**RUN.recipe, "name": "stranger"})])
    row, open_ = cells(made, 0), cells(made, 1)
    assert (row["value %"], row["± seeds"], row["test rows"], row["seeds"]) == ("95.00", "1.41", "2189", "2")
    assert row["standard error"] == "1.12"  # 0.5 over rows and 1.41 / √2 over seeds
    assert row["95 % interval"] == "94.02 to 95.98"  # over rows alone: these records do not say which were right
    assert {open_[name] for name in made.header[3:-1]} == {"–"}
    assert made.notes[-1] == "open: 1 of 2 rows were not run"
    fewer = beside(
        table, [run(0.94), replace(run(0.5), method="lora", recipe={**RUN.recipe, "method": {"type": "LoRA"}})]
    )
    assert fewer.notes[-1] == "fewer seeds than the table asks for: bert_r8 full 1 of 2, bert_r8 lora 1 of 2"
    assert len(made.rows) == 2
    assert not any("stranger" in note for note in made.notes)


def test_what_is_reproduced_or_not_stands_below_the_table() -> None:
    made = beside(one(published(0.99)), [run(0.95)])
    assert cells(made, 0)["source"] == "ours, to reproduce accuracy 99.00 %"
    assert made.notes[-1].startswith(
        "bert_r8 full: accuracy 95.00 % does not reproduce 99.00 % (a paper): -4.00 points"
    )


def test_a_row_has_one_of_every_list_of_what_is_varied_and_all_that_is_not() -> None:
    varied = (("budget.epochs=1", "budget.epochs=2"), ("seed=3", "seed=4"))
    runs = Runs(recipes=("bert_r8",), methods=("full",), seeds=1, settings=("split.train_rows=5",), varied=varied)
    assert [" ".join(row.settings) for row in runs.rows] == [
        f"split.train_rows=5 budget.epochs={epochs} seed={seed}" for epochs in (1, 2) for seed in (3, 4)
    ]


def test_rows_of_one_name_are_told_apart_by_their_settings_however_these_are_written() -> None:
    def table(*settings: str) -> BenchmarkTable:
        runs = tuple(Runs(recipes=("bert_r8",), methods=("full",), seeds=1, settings=(each,)) for each in settings)
        return BenchmarkTable(benchmarks=(Benchmark(data="R8", runs=runs),))

    rate = RUN.recipe["method"]["optim"]["learning_rate"]
    two = table(f"method.optim.learning_rate={rate:e}", "method.optim.learning_rate=1")
    assert [cells(beside(two, [run(0.95)]), row)["value %"] for row in (0, 1)] == ["95.00", "–"]
    assert outcomes(two, [])[1].row == "bert_r8 full method.optim.learning_rate=1"
    table("checkpoint=Local", "checkpoint=Packaged")
    for settings in (("budget.epochs=3", "budget.epochs= 3"), ("budget.epochs=3", "split.train_rows=5")):
        with pytest.raises(InputError, match="two rows bert_r8 full that their records cannot tell apart"):
            table(*settings)


def test_controls_of_rows_are_random_weights_and_shuffled_labels_with_the_checkpoint_s_own_attention() -> None:
    rows = Runs(recipes=("a",), methods=("frozen", "lora"), seeds=2, attentions=("stock", "uniform"))
    found = [row for runs in rows.controls("full") for row in runs.rows]
    assert [row.label for row in found] == ["a+untrained frozen", "a+untrained full", "a+shuffled frozen"]
    assert {row.seeds for row in found} == {2}


def test_controls_have_the_settings_of_their_rows_wherever_a_part_has_gone() -> None:
    settings = ("data.seed=5", "checkpoint.texts.seed=5", "split.test_rows=9", "database=1")
    rows = Runs(
        recipes=("a",), methods=("frozen",), seeds=1, settings=settings, varied=(("data=ToyText", "data.test=3"),)
    )
    random, dealt = rows.controls()
    assert random.settings == ("data.seed=5", "checkpoint.of.texts.seed=5", "split.test_rows=9", "database=1")
    assert random.varied == rows.varied
    assert dealt.settings == ("data.of.seed=5", "checkpoint.texts.seed=5", "split.test_rows=9", "database=1")
    assert dealt.varied == (("data.of=ToyText", "data.of.test=3"),)


def test_rows_of_controls_are_the_recipes_that_compare_would_make() -> None:
    runs = [Runs(recipes=("bert_r8",), methods=("frozen",), seeds=1)]
    runs += [replace(runs[0], control=kind) for kind in ("shuffled", "untrained")]
    table = BenchmarkTable(benchmarks=(Benchmark(data="R8", runs=tuple(runs)),))
    assert [row.label for row in table.rows] == [
        "bert_r8 frozen",
        "bert_r8+shuffled frozen",
        "bert_r8+untrained frozen",
    ]
    own, *others = recipes(table, Silent())
    assert others == [each for each in controls([own]) if each.method == own.method]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: published(97.8), "published.value is a share and must be in [0, 1], got 97.8"),
        (lambda: published(0.9, high=0.8), "published.high must be at least the value 0.9, got 0.8"),
        (lambda: published(0.9, n=0), "published.n must be at least 1 or none, got 0"),
        (lambda: Published(system="BERT", value=0.9, source=" "), "published.source must say where BERT was read"),
        (lambda: Runs(recipes=("a",), methods=(), seeds=1), "runs.methods must name at least one"),
        (lambda: Runs(recipes=("a",), methods=("full",), seeds=0), "runs.seeds must be at least 1, got 0"),
        (lambda: Runs(recipes="a", methods=("full",), seeds=1), "runs.recipes must be a tuple of values, each text"),
        (
            lambda: Runs(recipes=("a",), methods=("full",), seeds=1, control="untrain"),  # pyright: ignore
            "unknown value of runs.control 'untrain'; did you mean 'untrained'? known: shuffled, untrained",
        ),
        (lambda: one(settings=("method.rank",)), "runs.settings takes field=value, got 'method.rank'"),
        (
            lambda: Runs(recipes=("a",), methods=("full",), seeds=1, varied=(("method.rank",),)),
            "runs.varied takes field=value, got 'method.rank'",
        ),
        (
            lambda: one(replace(published(0.9), reproduced_by="bert_r8 ful")),
            "unknown row of R8 'bert_r8 ful'; did you mean 'bert_r8 full'?",
        ),
    ],
)
def test_a_table_that_cannot_be_meant_is_one_line(wrong: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError) as raised:
        wrong()
    assert str(raised.value).startswith(words)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_shipped_table_names_exists_and_every_row_finds_its_own_runs(name: str) -> None:
    table = catalog.table(name)
    asked = recipes(table, Silent())
    failed = [Failed(recipe=each.to_json(), method=each.method_name, attention=each.attention_name) for each in asked]
    found = groups([], failed)
    assert len(set(asked)) == len(asked) == sum(row.seeds for row in table.rows)
    assert len(found) == len(table.rows)
    for row, group in zip(table.rows, found, strict=True):
        alone = replace(group, results=(RUN,))
        assert runs_of(row, [alone]) == (RUN,)
        others = [replace(other, results=(RUN,)) for other in found if other is not group]
        assert runs_of(row, others) == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_table_is_rendered_without_a_model_and_its_committed_markdown_is_of_its_records(name: str) -> None:
    code = (
        "import sys; from finetune.cli import main\n"
        f"code = main(['table', {name!r}, '--recorded', '--format', 'markdown', '--out', {str(COMMITTED.parent)!r}])\n"
        "print(code, {'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *shown, last = done.stdout.splitlines()
    assert last == "0 set()"
    committed = COMMITTED / f"{name}.md"
    assert not committed.exists() or committed.read_text(encoding="utf-8").splitlines() == shown


@pytest.mark.parametrize(("name", "published", "points"), [("bert_r8", 97.8, 0.6), ("bert_r52", 96.4, 1.5)])
def test_in_the_committed_records_a_small_bert_fully_trained_is_near_the_published_large_one(
    name: str, published: float, points: float
) -> None:
    runs = [each for each in records.read(COMMITTED, "topics") if (each.recipe["name"], each.method) == (name, "full")]
    assert sorted(run.recipe["seed"] for run in runs) == [0, 1, 2, 3, 4]
    assert {run.status for run in runs} == {"done"}
    assert 100 * np.mean([run.scores["accuracy"].value for run in runs]) >= published - points


@pytest.mark.parametrize(("name", "whole", "data"), [("r8", "topics", "R8"), ("MRPC", "glue", "MRPC")])
def test_a_test_set_with_published_numbers_is_a_table_of_what_its_own_has_of_it(
    name: str, whole: str, data: str
) -> None:
    (of_it,) = [each for each in catalog.table(whole).benchmarks if each.data == data]
    assert catalog.table(name).benchmarks == (of_it,)
    assert catalog.whole_table(name) == whole


def test_a_table_of_one_test_set_has_the_records_of_the_whole_and_is_saved_by_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    shutil.copy(COMMITTED / "topics.json", folder)
    whole = (folder / "topics.json").read_bytes()
    assert main(["table", "r8", "--recorded", "--save", "--format", "csv", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out.splitlines()
    of_topics = (COMMITTED / "topics.csv").read_text(encoding="utf-8").splitlines()
    values = [line.split(",")[-3:] for line in of_topics if line.startswith("R8,")]
    assert [line.split(",")[-3:] for line in shown if line.startswith("R8,")] == values
    assert sorted(path.name for path in folder.iterdir()) == ["r8.csv", "r8.md", "r8.tex", "topics.json"]
    assert (folder / "topics.json").read_bytes() == whole


def test_in_the_committed_records_heads_by_the_hundred_are_solved_for_in_half_a_minute() -> None:
    (swept,) = (run for run in records.read(COMMITTED, "tuned") if run.trial and run.choice is not None)
    assert swept.choice is not None
    assert swept.choice["probes"] >= 200
    assert swept.seconds["train"] <= 30


def test_in_the_committed_simulations_intervals_hold_the_truth_and_few_claims_are_of_nothing() -> None:
    scores, pairs = (json.loads((COMMITTED / f"{name}.json").read_text()) for name in ("intervals", "claims"))
    error = (0.05 * 0.95 / 2000) ** 0.5  # of a share of so many experiments
    assert all(0.93 <= each["covered"] <= 0.97 for each in scores)
    alike = [each for each in pairs if each["wobbles"][0] == each["wobbles"][1]]
    assert all(each["claimed"] <= 0.05 for each in alike)
    assert all(each["covered"] >= 0.93 for each in alike)
    threes = [each for each in pairs if each["seeds"][0] == each["seeds"][1] >= 3]
    assert all(each["covered"] >= 0.93 for each in threes)  # also where the seeds of one system alone differ
    assert all(each["covered"] <= 0.97 for each in threes if each["seeds"] == [5, 5])  # of fewer some are too wide
    assert all(each["claimed"] <= 0.065 + error for each in threes)
    assert all(each["claimed"] <= 0.09 for each in pairs if each["seeds"] == [2, 2])
    assert all(each["claimed"] <= 0.10 + error and each["covered"] >= 0.89 for each in pairs)
    assert all(each["alone"] >= 0.88 for each in pairs)
    assert all(0.93 - error <= each["alone"] <= 0.97 + error for each in pairs if each["seeds"][0] >= 3)
    assert all(0.93 <= each["alone"] <= 0.97 for each in pairs if each["seeds"][0] == 5)


@pytest.fixture
def mine(tmp_path: Path, checkpoint: Callable[[str], Path], own_cache: Path) -> Path:
    """A table file of a user's own, beside the recipe that it names."""
    assert not own_cache.exists()
    (tmp_path / "rows.csv").write_text("text,label\n" + "cat dog,animal\none two,number\n" * 20)
    recipe = tmp_path / "mine.py"
    recipe.write_text(OWN.format(checkpoint=str(checkpoint("bert")), train=str(tmp_path / "rows.csv")))
    path = tmp_path / "animals.py"
    path.write_text(OWN_TABLE.format(recipe=str(recipe)))
    return path


def test_a_table_of_ones_own_is_run_once_saved_rendered_judged_and_checked(
    capsys: pytest.CaptureFixture[str], mine: Path, tmp_path: Path
) -> None:
    def answer(*arguments: str) -> tuple[int, str, str]:
        return main([*arguments, "--out", str(tmp_path)]), *capsys.readouterr()

    absent = (
        f"finetune: there are no records {tmp_path / 'tables' / 'animals.json'} yet; `finetune table {mine} --save`"
    )
    code, out, err = answer("table", str(mine), "--recorded")
    assert (code, absent in err) == (0, True)
    assert "open: 2 of 2 rows were not run" in out
    code, out, err = answer("table", str(mine), "--recorded", "--check")
    assert (code, out, err.startswith(absent)) == (2, "", True)
    code, out, err = answer("table", str(mine), "--check")  # and nothing is run for that
    assert (code, out, err.startswith(absent)) == (2, "", True)

    code, out, err = answer("table", str(mine), "--save", "--format", "csv")
    assert code == 0
    assert "done: 4 of 4 runs, 0 of them before" in err
    assert "--set method.optim.learning_rate=1e-4 leaves mine frozen as they are: no such field" in err
    assert [line.split(",")[1] for line in out.splitlines()] == ["system", "mine", "mine", "others"]
    assert {path.suffix for path in (tmp_path / "tables").iterdir()} == {".md", ".csv", ".tex", ".json"}
    assert answer("table", str(mine), "--recorded", "--format", "csv") == (0, out, "")
    assert answer("tables", "animals")[0] == answer("verdict", "animals")[0] == 0
    code, out, err = answer("table", str(mine), "--check", "--format", "csv")
    assert "done: 4 of 4 runs, 4 of them before" in err
    assert (code, out.count("the record itself")) == (0, 2)

    place = tmp_path / "tables" / "animals.json"
    before = json.loads(place.read_text())
    for record in before:
        record["seconds"]["train"] += 1  # as another machine would
    place.write_text(json.dumps(before))
    code, out, _ = answer("table", str(mine), "--check", "--format", "csv")
    assert (code, out.count(",reproduced,")) == (0, 2)
    for record in before:
        if record["method"] == "frozen":
            record["scores"]["accuracy"] |= {"value": 0.0, "low": 0.0, "high": 0.1}
    place.write_text(json.dumps(before))
    code, out, err = answer("table", str(mine), "--check", "--format", "csv")
    assert code == 1
    assert (out.count(",reproduced,"), out.count(",missed,")) == (1, 1)
    assert "finetune: mine frozen: accuracy 100.00 % does not reproduce 0.00 % (our record)" in err

    for record in before:
        record["data"]["sha256"] = "beefcafe" * 8
    place.write_text(json.dumps(before))
    code, out, err = answer("table", str(mine), "--check", "--format", "csv")
    assert (code, out.count(",missed,")) == (1, 2)
    assert err.count("our record is of other data (sha256 beefcafe, now ") == 2
    place.write_text("[{")
    code, out, err = answer("table", str(mine), "--check")
    assert (code, out) == (2, "")
    assert err.startswith(f"finetune: {place} is damaged")


def test_missing_runs_only_what_no_record_is_of(capsys: pytest.CaptureFixture[str], mine: Path, tmp_path: Path) -> None:
    def answer(*more: str) -> tuple[int, str]:
        code = main(["table", str(mine), "--save", *more, "--out", str(tmp_path)])
        return code, capsys.readouterr().err

    answer()
    place = tmp_path / "tables" / "animals.json"
    whole = json.loads(place.read_text())
    place.write_text(json.dumps(whole[1:]))
    shutil.rmtree(tmp_path / "mine")  # the run folders: only records are left
    code, said = answer("--missing")
    assert (code, len(list((tmp_path / "mine").iterdir()))) == (0, 1)
    assert "done: 4 of 4 runs" in said
    assert [record["fingerprint"] for record in json.loads(place.read_text())] == [run["fingerprint"] for run in whole]
    assert answer("--missing", "--recorded") == (
        2,
        "finetune: --missing takes records for results; give --check or --recorded without it\n",
    )


def test_a_table_file_without_a_table_is_told_and_a_recipe_file_of_another_name(
    capsys: pytest.CaptureFixture[str], mine: Path, tmp_path: Path
) -> None:
    assert main(["table", str(tmp_path / "mine.py"), "--out", str(tmp_path)]) == 2
    assert "defines no `table`: a table file has one variable of that name" in capsys.readouterr().err
    (tmp_path / "other.py").write_text((tmp_path / "mine.py").read_text())
    mine.write_text(OWN_TABLE.format(recipe=str(tmp_path / "other.py")))
    assert main(["table", str(mine), "--out", str(tmp_path)]) == 2
    assert "holds a recipe named 'mine'; call the file mine.py" in capsys.readouterr().err


def test_a_row_may_have_more_settings_than_another_if_both_have_one_that_differs() -> None:
    def named(*settings: str) -> Runs:
        return Runs(recipes=("numbers_ko",), methods=("scratch",), seeds=1, settings=settings)

    kind, size = "checkpoint.tokenizer", "checkpoint.tokenizer.size"
    runs = named(f"{kind}=Words", f"{size}=9"), named(f"{kind}=Words", f"{size}=8"), named(f"{kind}=Characters")
    table = BenchmarkTable(benchmarks=(Benchmark(data="Korean numbers", runs=runs),))
    made = [each.checkpoint.tokenizer for each in recipes(table, Silent())]
    assert made == [Words(size=9), Words(size=8), Characters()]
    with pytest.raises(
        InputError, match="two rows numbers_ko scratch that their records cannot tell apart; give both a"
    ):
        BenchmarkTable(benchmarks=(Benchmark(data="Korean numbers", runs=(*runs, named(f"{kind}=Words"))),))


def test_rows_that_come_to_the_same_runs_are_refused() -> None:
    ranks = ("method.rank=2", "method.rank=4")  # which the frozen backbone has not
    runs = Runs(recipes=("bert_r8",), methods=("frozen", "lora"), seeds=1, varied=(ranks,))
    table = BenchmarkTable(benchmarks=(Benchmark(data="R8", runs=(runs,)),))
    with pytest.raises(
        InputError, match="table has two rows bert_r8 frozen.* that come to the same runs: what sets them"
    ):
        recipes(table, Silent())
