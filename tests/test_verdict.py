"""Better, equivalent, undecided: what is said of runs, in words and in a table, and of what nothing is said."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune import InputError, Recipe, Result, run
from finetune.choice import Limits, best, frontier
from finetune.cli import main
from finetune.items import Items
from finetune.report import records
from finetune.report.tables import table
from finetune.report.verdicts import verdicts
from finetune.system import System, unfit
from finetune.verdict import judge

N = 1000
IDS = [f"row {number}" for number in range(N)]


@pytest.fixture
def result(toy: Callable[[str], Recipe], tmp_path: Path) -> Result:
    return run(toy("bert"), out=tmp_path)


def runs(result: Result, method: str, right_SN: Sequence[np.ndarray], seconds: float = 1.0) -> tuple[Result, ...]:
    """A run of the method for each seed, scored like that."""
    return tuple(
        replace(
            result,
            recipe={**result.recipe, "seed": seed, "method": {"type": method}},
            method=method,
            items=Items.of(IDS[: len(right_N)], right_N),
            seconds={**result.seconds, "train": seconds, "features": 0.0},
        )
        for seed, right_N in enumerate(right_SN)
    )


def system(result: Result, name: str, right_SN: Sequence[np.ndarray], seconds: float = 1.0) -> System:
    return System(name=name, runs=runs(result, name, right_SN, seconds))


def with_score(system: System, score: float, validated: float = 0.5) -> System:
    estimate = replace(system.runs[0].scores["accuracy"], value=score)
    scores = {"scores": {"accuracy": estimate}, "validation": {"accuracy": replace(estimate, value=validated)}}
    return replace(system, runs=tuple(replace(run, **scores) for run in system.runs))


def right(accuracy: float, seeds: int = 3, n: int = N, wrong_from: int = 0) -> list[np.ndarray]:
    """The last items are right, and each seed errs on two others of its own."""
    found = []
    for seed in range(seeds):
        right_N = np.arange(n) >= round((1 - accuracy) * n) + wrong_from
        right_N[[-1 - 2 * seed, -2 - 2 * seed]] = False
        found.append(right_N)
    return found


def test_items_are_the_same_whatever_order_the_examples_come_in() -> None:
    right_N = np.array([True, False, False, True, True, False, True, True, False])
    ids, order = list("abcdefghi"), np.random.default_rng(0).permutation(9)
    items = Items.of(ids, right_N)
    assert items == Items.of([ids[index] for index in order], right_N[order])
    assert np.array_equal(items.unpacked(), right_N)


def test_a_run_keeps_how_each_test_example_was_scored_and_its_record_brings_it_back(result: Result) -> None:
    assert result.items is not None
    assert result.items.unpacked().mean() == pytest.approx(result.scores["accuracy"].value)
    assert result.items.n == result.rows["test"]
    assert Result.from_json(json.loads(json.dumps(result.to_json()))).items == result.items


def test_a_record_from_before_examples_were_kept_is_read_and_gets_no_verdict(result: Result) -> None:
    record = result.to_json()
    del record["items"]
    old = Result.from_json(record)
    assert old.items is None
    assert "earlier version" in unfit(System(name="old", runs=(old, old)))


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ({"ids": "a", "n": 9, "right": "AA=="}, "items.right must have the bits of 9 test examples, got 8"),
        ({"ids": "a", "n": 8, "right": "¿"}, "items.right must be bits in base64, got '¿'"),
        ({"ids": "a", "n": 8, "scores": "AA=="}, "items.scores must have two bytes for each of 8 test examples, got 1"),
        ({"ids": "a", "n": 8, "scores": "AA==", "right": "AA=="}, "either right or scores of test examples, got both"),
        ({"ids": "a", "n": 8}, "either right or scores of test examples, got neither"),
        ({"ids": "a"}, "items of a record are to have all fields"),
    ],
)
def test_a_damaged_record_is_one_line(result: Result, items: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Result.from_json(result.to_json() | {"items": items})


def test_a_clear_difference_is_better_whichever_way_round_and_its_cost_is_told(result: Result) -> None:
    good, bad = system(result, "full", right(0.95), seconds=30), system(result, "frozen", right(0.85), seconds=10)
    (one,), (other,) = judge([good, bad]), judge([bad, good])
    assert (one.kind, one.ours, one.theirs) == ("better", "full", "frozen")
    assert one.found.value == pytest.approx(0.1)
    assert one.sentence == other.sentence
    assert one.sentence.startswith("full is better than frozen: accuracy +10.00 points (95 % interval +8.")
    assert one.sentence.endswith("p below 0.001; 1000 test rows, 3 seeds), in 3 times the time")


def test_the_same_within_the_margin_is_equivalent_even_if_the_little_there_is_is_real(result: Result) -> None:
    systems = [system(result, "full", right(0.95)), system(result, "lora", right(0.945))]
    (found,) = judge(systems, margin=0.02)
    assert found.kind == "equivalent"
    assert found.sentence.startswith("full and lora are equivalent within 2 points: accuracy +0.50 points (90 % ")


def test_what_could_be_either_is_undecided_and_says_what_would_settle_it(result: Result) -> None:
    one, other = right(0.8, n=80), right(0.78, n=80)
    (found,) = judge([system(result, "full", one), system(result, "lora", other)])
    assert found.kind == "undecided"
    assert found.items is not None
    assert found.items > 80
    assert f"about {found.items} test rows" in found.sentence
    assert "would be found in 4 of 5 such experiments; within" in found.sentence


def test_no_interval_of_two_shares_reaches_beyond_all_and_none(result: Result) -> None:
    far, near = ([np.arange(N) < count for count in counts] for counts in ((100, 900), (300, 300)))
    (found,) = judge([system(result, "far", far), system(result, "near", near)])
    assert (found.found.low, found.found.high) == (-1.0, 1.0)
    assert "95 % interval -100.00 to +100.00" in found.sentence


def test_a_run_and_its_copy_are_never_better_than_each_other(result: Result) -> None:
    (found,) = judge([system(result, "a", right(0.9)), system(result, "b", right(0.9))])
    assert (found.kind, found.found.value) == ("equivalent", 0)


def test_many_comparisons_need_more_for_the_same_claim(result: Result) -> None:
    few = [system(result, name, right(accuracy)) for name, accuracy in (("a", 0.95), ("b", 0.93))]
    many = [*few, *(system(result, f"same {number}", right(0.9)) for number in range(6))]
    alone, among = judge(few)[0], judge(many)[0]
    assert (alone.ours, among.ours) == ("a", "a")
    assert among.p > alone.p
    assert among.among == 28


@pytest.mark.parametrize(
    ("margin", "words"),
    [
        (0.0, "got 0: no test shows that two are exactly the same"),
        (-1.0, "got -100: no test shows that two are exactly the same"),
        (math.nan, "got nan: no test"),
        (1.0, "got 100: no two scores are farther apart"),
        (1.5, "got 150: no two scores are farther apart"),
    ],
)
def test_a_margin_that_nothing_or_everything_is_within_is_refused(result: Result, margin: float, words: str) -> None:
    for judged in (lambda: verdicts([result], margin), lambda: judge([], margin)):
        with pytest.raises(InputError, match=f"margin must be above 0 and below 100 points, {words}"):
            judged()


def with_data(runs: Sequence[Result], sha256: str) -> tuple[Result, ...]:
    return tuple(replace(run, data={**run.data, "sha256": sha256}) for run in runs)


def test_runs_whose_data_has_changed_in_between_are_not_compared_and_that_is_told(result: Result) -> None:
    then, now = (system(result, name, right(0.9)) for name in ("full", "lora"))
    now = replace(now, runs=with_data(now.runs, "beefcafe" * 8))
    was = result.data["sha256"][:8]
    with pytest.raises(
        InputError, match=f"the data of full and lora has changed in between, from sha256 {was} to beef"
    ):
        judge([then, now])
    torn = replace(then, runs=(then.runs[0], *now.runs[1:]))
    with pytest.raises(InputError, match="no verdict on full: its data has changed between its runs"):
        judge([torn, torn])
    found = verdicts([*then.runs, *now.runs])
    assert not found.rows
    told = f"(sha256 {was} in 3 runs and beefcafe in 3 runs); only runs on the same are compared"
    assert f"toy_bert: the data has changed in between {told}" in found.notes
    assert f"toy_bert: the data has changed in between {told}" in table([*then.runs, *now.runs]).notes


def test_other_data_by_another_name_is_no_change_and_is_compared(result: Result) -> None:
    full, lora = (system(result, name, right(accuracy)) for name, accuracy in (("full", 0.95), ("lora", 0.85)))
    of = {"type": "Shuffled", "of": result.recipe["data"], "seed": 0}
    runs = [replace(run, recipe={**run.recipe, "data": of}) for run in with_data(lora.runs, "beefcafe" * 8)]
    (found,) = judge([full, replace(lora, runs=tuple(runs))])
    assert found.kind == "better"


def test_a_score_that_no_single_example_has_gets_no_verdict_and_the_table_says_so(result: Result) -> None:
    scores = {"macro_f1": result.scores["macro_f1"]}
    f1 = [replace(run, items=None, scores=scores) for run in runs(result, "full", right(0.9))]
    why = "no verdict on toy_bert full: macro_f1 has no score for each test row, or the record is of an earlier version"
    assert why in verdicts(f1).notes
    assert why in table(f1).notes
    with pytest.raises(InputError, match=why.replace("toy_bert ", "")):
        judge([System(name="full", runs=tuple(f1))] * 2)


def test_scores_that_are_nearer_or_farther_are_judged_as_right_and_wrong_are(result: Result) -> None:
    rng = np.random.default_rng(0)
    near_SN, far_SN = (rng.uniform(low, low + 0.5, size=(2, len(IDS))) for low in (0.5, 0.0))
    items = Items.of(IDS, near_SN[0])
    assert items == Items.of(IDS[::-1], near_SN[0][::-1])
    assert items.right is None
    assert items.unpacked() == pytest.approx(near_SN[0][np.argsort(IDS)], abs=5e-4)
    record = replace(result, items=items).to_json()
    assert Result.from_json(json.loads(json.dumps(record))).items == items
    near, far = (
        System(name=name, runs=tuple(replace(result, items=Items.of(IDS, each)) for each in scores_SN))
        for name, scores_SN in (("near", near_SN), ("far", far_SN))
    )
    (found,) = judge([near, far])
    assert found.kind == "better"
    assert found.found.value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda record: {**record, "rows": None}, "record 2: rows of a record is to be a mapping, got 'None'"),
        (lambda record: {**record, "recipe": "bert"}, "record 2: recipe of a record is to be a mapping, got 'bert'"),
        (lambda record: {**record, "labels": None}, "record 2: a record of a run is damaged, or of another version"),
        (lambda record: {**record, "scores": {"accuracy": {"value": 1}}}, "record 2: a record of a run is damaged, or"),
        (lambda record: {**record, "scores": {"accuracy": 1}}, "record 2: a record of a run is damaged, or"),
        (lambda record: {"a": record}, "record 2: a record of a run is to have all fields of finetune.Result"),
        (lambda _: 7, "record 2: a record of a run is to have all fields of finetune.Result, got '7'"),
    ],
)
def test_a_damaged_record_of_a_table_is_named_with_its_place(
    result: Result, tmp_path: Path, damage: Callable[[dict[str, object]], object], words: str
) -> None:
    (tmp_path / "mine.json").write_text(json.dumps([result.to_json(), damage(result.to_json())]))
    with pytest.raises(InputError, match=f"{tmp_path / 'mine.json'}, {words}"):
        records.read(tmp_path, "mine")
    for content in (b"[{", b"\xff\xfe", b""):
        (tmp_path / "mine.json").write_bytes(content)
        with pytest.raises(InputError, match="mine.json is damaged .*; the command with --save that wrote it writes"):
            records.read(tmp_path, "mine")
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(InputError, match="mine.json holds no list of records; the command with --save that wrote it"):
        records.read(tmp_path, "mine")


def test_systems_that_cannot_be_judged_are_refused_with_the_reason(result: Result) -> None:
    sound = system(result, "full", right(0.9))
    short = system(result, "short", right(0.9, n=500))
    single = system(result, "single", right(0.9, seeds=1))
    mixed = System(name="mixed", runs=(*sound.runs, *short.runs))
    lost = System(name="lost", runs=(sound.runs[0], replace(sound.runs[1], status="diverged", items=None)))
    for other, words in (
        (short, "full and short were tested on different rows"),
        (single, "no verdict on single: of one seed there is no spread: 2 or more are needed"),
        (mixed, "no verdict on mixed: its runs were tested on different rows"),
        (lost, "no verdict on lost: a run diverged"),
    ):
        with pytest.raises(InputError, match=words):
            judge([sound, other])


def test_the_verdicts_stand_below_a_table_of_few_rows_and_of_many_where_to_ask(result: Result) -> None:
    few = [*runs(result, "full", right(0.95)), *runs(result, "frozen", right(0.85))]
    assert any("full is better than" in note for note in table(few).notes)
    many = [each for number in range(5) for each in runs(result, f"m{number}", right(0.9))]
    assert not any("equivalent" in note for note in table(many).notes)
    assert any("rows: judged in a saved table by `finetune verdict NAME`" in note for note in table(many).notes)


def test_below_a_table_of_many_rows_those_of_each_recipe_are_judged_among_themselves(result: Result) -> None:
    here = [*runs(result, "full", right(0.95)), *runs(result, "lora", right(0.95)), *runs(result, "none", right(0.8))]
    there = [replace(each, recipe={**each.recipe, "name": "other"}) for each in here if each.method != "none"]
    notes = "\n".join(table([*here, *there]).notes)
    name = result.recipe["name"]
    assert f"{name} full is better than {name} none" in notes
    assert "among 3 comparisons" in notes
    assert "other full and other lora are equivalent" in notes
    assert f"{name} full and other" not in notes


def test_what_is_said_of_a_recipe_is_the_same_below_a_table_in_the_command_and_whatever_else_stands_there(
    result: Result,
) -> None:
    own = [*runs(result, "full", right(0.923)), *runs(result, "lora", right(0.9)), *runs(result, "none", right(0.8))]
    others = [
        replace(each, recipe={**each.recipe, "name": name})
        for name in ("other", "third")
        for each in own
        if each.method != "none"
    ]
    name = result.recipe["name"]
    said = [note for note in table(own).notes if f"{name} full is better than {name} lora" in note]
    assert len(said) == 1
    assert "among 3 comparisons" in said[0]
    every = verdicts([*own, *others])
    assert said[0] in table([*own, *others]).notes
    assert said[0] in every.notes
    (across,) = (note for note in every.notes if note.startswith(f"{name} full is better than other lora"))
    assert "among 16 comparisons" in across  # 3 by 2, 3 by 2 and 2 by 2


def test_two_runs_of_one_seed_each_are_told_apart_by_their_test_rows_alone_and_never_called_better(
    result: Result,
) -> None:
    few = [*runs(result, "full", right(0.95, seeds=1)), *runs(result, "frozen", right(0.85, seeds=1))]
    name = result.recipe["name"]
    for notes in (table(few).notes, verdicts(few).notes):
        (line,) = [note for note in notes if "of one seed each" in note]
        assert line.startswith(f"{name} full against {name} frozen, of one seed each: accuracy +10.00 points (95 % ")
        assert "p below 0.001 by McNemar's exact test) by the 1000 test rows alone" in line
        assert not any("is better" in note for note in notes)
    graded = [np.linspace(0, 1, 50), np.linspace(0, 0.9, 50)]
    one, other = (runs(result, name, [scores]) for name, scores in zip("ab", graded, strict=True))
    assert any("by a permutation test) by the 50 test rows alone" in note for note in verdicts([*one, *other]).notes)


def test_runs_on_other_test_rows_are_judged_apart_and_what_cannot_be_is_told(result: Result) -> None:
    here = [*runs(result, "full", right(0.95)), *runs(result, "frozen", right(0.85))]
    there = [replace(each, recipe={**each.recipe, "name": "other"}) for each in runs(result, "lora", right(0.9, n=500))]
    single = runs(result, "single", right(0.9, seeds=1))
    found = verdicts([*here, *there, *single])
    assert len(found.rows) == 1
    assert any(note.endswith("nothing else was tested on its rows") for note in found.notes)
    assert any("of one seed there is no spread" in note for note in found.notes)


def test_the_command_judges_saved_tables(result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tables").mkdir()
    found = [*runs(result, "full", right(0.95)), *runs(result, "frozen", right(0.85))]
    (tmp_path / "tables" / "mine.json").write_text(json.dumps([each.to_json() for each in found]))
    assert main(["verdict", "mine", "--out", str(tmp_path), "--format", "csv"]) == 0
    header, row = capsys.readouterr().out.strip().splitlines()
    assert header.startswith("higher,lower,verdict,score,points apart")
    assert ",better,accuracy,+10.00," in row
    (tmp_path / "tables" / "torn.json").write_text("[{")
    for arguments, words in (
        (("mine", "--margin", "0"), "margin must be above 0"),
        (("mine", "--margin", "-2"), "got -2: no test shows that two are exactly the same"),
        (("mine", "--margin", "150"), "got 150: no two scores are farther apart"),
        (("mind",), "mine"),
        (("torn",), "that wrote it writes it again"),
    ):
        assert main(["verdict", *arguments, "--out", str(tmp_path)]) == 2
        assert words in capsys.readouterr().err


def test_the_best_within_limits_is_named_with_how_sure_that_is(result: Result) -> None:
    full = runs(result, "full", right(0.95), seconds=600)
    lora = with_score(system(result, "lora", right(0.93), seconds=50), 0.93, 0.88).runs
    frozen = with_score(system(result, "frozen", right(0.85), seconds=10), 0.85, 0.86).runs
    found = verdicts([*full, *lora, *frozen], limits=Limits(minutes=5)).notes
    assert (
        "within 5 minutes: toy_bert lora, highest on the validation rows: 88.0 % of the validation rows and 93.0 % of "
        "the test rows; better than toy_bert frozen" in found
    )
    found = verdicts([*full, *lora, *frozen], limits=Limits(minutes=0.5, trained=10**9)).notes
    assert (
        "within 0.5 minutes, 1,000,000,000 trained parameters: toy_bert frozen, highest on the validation rows: 86.0 % "
        "of the validation rows and 85.0 % of the test rows; nothing else is" in found
    )
    found = verdicts([*full, *lora, *frozen], limits=Limits(saved_mb=1e-9)).notes
    assert "within 1e-09 MB saved: none of toy_bert full, toy_bert lora, toy_bert frozen" in found


def test_test_rows_do_not_choose_what_is_best_within_limits(result: Result) -> None:
    lora = with_score(system(result, "lora", right(0.93)), 0.93, 0.84)
    frozen = with_score(system(result, "frozen", right(0.85)), 0.85, 0.86)
    assert best([lora, frozen], Limits(minutes=5)) is frozen
    blind = replace(lora, runs=tuple(replace(run, validation={}) for run in lora.runs))
    assert best([blind], Limits(minutes=5)) is None
    unseen = [replace(run, validation={}) for run in runs(result, "lora", right(0.93))]
    said = verdicts([*unseen, *runs(result, "full", right(0.8), seconds=600)], limits=Limits(minutes=5)).notes
    assert (
        "within 5 minutes: none of toy_bert lora, toy_bert full; of toy_bert lora there are no validation rows to "
        "choose by" in said
    )


def test_minutes_of_different_machines_are_limits_apart(result: Result) -> None:
    here = with_score(system(result, "frozen", right(0.85), seconds=100), 0.85, 0.86).runs
    away = with_score(system(result, "full", right(0.95), seconds=50), 0.95, 0.96).runs
    fast = [replace(run, environment={**run.environment, "device": "a GPU"}) for run in away]
    said = [note for note in verdicts([*here, *fast], limits=Limits(minutes=2)).notes if note.startswith("within 2 m")]
    assert len(said) == 2
    assert "within 2 minutes on a GPU, " in said[1]
    assert [" toy_bert frozen, highest" in note for note in said] == [True, False]
    assert len([note for note in verdicts([*here, *fast], limits=Limits(trained=10**9)).notes if "within" in note]) == 2


def test_a_limit_that_nothing_is_within_by_definition_is_refused() -> None:
    with pytest.raises(InputError, match="minutes must be above 0, got 0"):
        Limits(minutes=0)


def test_the_frontier_is_what_nothing_reaches_in_less_time(result: Result) -> None:
    made = [("slow", 0.9, 9.0), ("worse", 0.7, 5.0), ("good", 0.8, 3.0), ("same", 0.8, 4.0), ("fast", 0.5, 1.0)]
    systems = [with_score(system(result, name, right(0.9), seconds), score) for name, score, seconds in made]
    assert [each.name for each in frontier(systems)] == ["fast", "good", "slow"]


def test_times_of_different_machines_are_not_set_against_each_other(result: Result) -> None:
    there = {**result.environment, "device": "NVIDIA H100"}
    slow, fast = system(result, "slow", right(0.7), 9.0), system(result, "fast", right(0.9), 1.0)
    away = replace(fast, runs=tuple(replace(run, environment=there) for run in fast.runs))
    (found,) = judge([slow, away])
    assert (found.kind, found.cost) == ("better", None)
    assert found.sentence.endswith("times are of different machines")
    assert judge([slow, fast])[0].cost == pytest.approx(1 / 9)
    made = verdicts([*slow.runs, *away.runs])
    assert made.rows[0][made.header.index("times as long")] == "–"
    told = [note for note in made.notes if "against time" in note]
    assert [note.partition(":")[0] for note in told] == [
        f"accuracy against time on {slow.runs[0].machine}",
        f"accuracy against time on {away.runs[0].machine}",
    ]


def test_nothing_is_so_many_times_no_time(result: Result) -> None:
    trained, asked = system(result, "trained", right(0.9), 9.0), system(result, "asked", right(0.7), 1e-5)
    (found,) = judge([trained, asked])
    assert found.sentence.endswith("and asked takes no time")
    made = verdicts([*trained.runs, *asked.runs])
    assert made.rows[0][made.header.index("times as long")] == "–"
    turned = system(result, "trained", right(0.7), 9.0), system(result, "asked", right(0.9), 1e-5)
    assert judge(turned)[0].sentence.endswith("in no time")
    assert judge((replace(asked, name="same"), turned[1]))[0].cost == 1.0
