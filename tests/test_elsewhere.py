"""A finished run elsewhere: only rows that are from there are scored, and forgetting is told where there is some."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from tiny import Shared
from transformers import AutoModelForCausalLM

from finetune import Files, Frozen, Full, InputError, Local, LoRA, Recipe, Result, cli, grid, load, run
from finetune.data import targets
from finetune.data.digits import Digits
from finetune.data.mnist_5k import Mnist5k
from finetune.data.photographs import Photographs
from finetune.data.shuffled import Shuffled
from finetune.data.topics import Topics
from finetune.data.toy import ToyImages, ToyText
from finetune.elsewhere import REFERENCES, shift
from finetune.items import Items
from finetune.methods import Method
from finetune.methods.majority import Majority
from finetune.methods.surface import Surface
from finetune.progress import Silent
from finetune.report.shifts import change, shifts
from finetune.session import Setup, session
from finetune.shift import Shift
from finetune.stats import proportion

REFERENCE = ToyText(train=40, test=60)


def rows(folder: Path, *lines: str) -> Files:
    """Rows of a file: text, comma, label."""
    path = folder / "elsewhere.csv"
    path.write_text("text,label\n" + "\n".join(lines) + "\n")
    return Files(train=str(path))


def finished(recipe: Recipe, out: Path) -> tuple[Result, Path]:
    result = run(recipe, out=out)
    assert result.folder is not None
    return result, result.folder


def measured(recipe: Recipe, out: Path, **given: object) -> Shift:
    result, _ = finished(recipe, out)
    return shift(recipe, result, **{"reference": REFERENCE, **given})  # pyright: ignore[reportArgumentType]


def test_labels_are_the_same_by_name_and_the_answer_may_be_any_that_the_run_knows(
    shared: Shared, tmp_path: Path
) -> None:
    recipe = shared.toy("bert")
    _, folder = finished(recipe, shared.out)
    texts = [("one two one", "number"), ("sun sun moon", "sky"), ("three two", "number"), ("moon cat", "sky")] * 3
    texts = [(f"{text}{' one' * (number + 12)}", label) for number, (text, label) in enumerate(texts)]
    found = measured(recipe, shared.out, on=rows(tmp_path, *(f"{text},{label}" for text, label in texts))).elsewhere
    assert found is not None
    assert found.items is not None
    said = [each.label for each in load(folder)([text for text, _ in texts])]
    right = [label == other for (_, label), other in zip(texts, said, strict=True)]
    assert int(found.items.unpacked().sum()) == sum(right)
    assert found.scores["accuracy"].value == pytest.approx(np.mean(right))
    assert (found.scores["accuracy"].n, found.others, found.own) == (12, 0, 0)


def test_a_run_that_was_made_for_a_recipe_that_comes_to_the_same_is_measured_too(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy("bert"), method=Frozen())  # a head is solved for: no budget says anything
    finished(replace(recipe, budget=replace(recipe.budget, epochs=9)), tmp_path)
    (result,) = grid.compare([recipe], out=tmp_path).results  # which says that it is of this one
    on = rows(tmp_path, "cat dog sheep dog,animal", "sun moon,sky")
    assert shift(recipe, result, on=on, reference=REFERENCE).elsewhere is not None


def test_rows_of_labels_that_the_run_does_not_know_are_not_scored(shared: Shared, tmp_path: Path) -> None:
    on = rows(tmp_path, "red one,colour", "cat dog sheep dog,animal", "blue,colour", "sun moon moon sun,sky")
    found = measured(shared.toy("bert"), shared.out, on=on).elsewhere
    assert found is not None
    assert (found.scores["accuracy"].n, found.others) == (2, 2)


def test_rows_whose_text_the_runs_own_data_set_has_are_left_out(shared: Shared, tmp_path: Path) -> None:
    recipe = shared.toy("bert")
    splits = session(recipe).splits()
    seen = [splits[part][0]["text"] for part in ("train", "validation", "test")]
    on = rows(tmp_path, *(f"{text},animal" for text in seen), "moon horse moon horse sheep,sky")
    found = measured(recipe, shared.out, on=on).elsewhere
    assert found is not None
    assert (found.scores["accuracy"].n, found.own) == (1, 3)


def test_a_data_set_with_nothing_of_its_own_is_not_from_elsewhere(shared: Shared) -> None:
    with pytest.raises(InputError, match="all 20 rows of toy with a label of toy_bert are in toy too: they are not"):
        measured(shared.toy("bert"), shared.out, on=ToyText(test=20))


def test_a_data_set_that_the_run_cannot_answer_is_named(shared: Shared, tmp_path: Path) -> None:
    on = rows(tmp_path, "a,red", "b,blue")
    with pytest.raises(InputError, match="elsewhere.csv has no label of toy_bert: blue, red; it knows animal, "):
        measured(shared.toy("bert"), shared.out, on=on)
    with pytest.raises(InputError, match="toy_bert reads text, toy has image"):
        measured(shared.toy("bert"), shared.out, on=ToyImages())


def test_as_many_rows_are_scored_elsewhere_as_at_home(shared: Shared, tmp_path: Path) -> None:
    recipe = shared.toy("bert").override(["split.test_rows=6"])
    lines = [f"{'sun ' * (number + 13)},{('sky', 'animal')[number % 2]}" for number in range(20)]
    found = measured(recipe, shared.out, on=rows(tmp_path, *lines)).elsewhere
    assert found is not None
    assert found.scores["accuracy"].n == 6


@pytest.mark.parametrize("method", [Majority(), Surface()], ids=["majority", "surface"])
def test_what_has_no_backbone_is_scored_elsewhere_and_has_nothing_to_forget(
    shared: Shared, tmp_path: Path, method: Method
) -> None:
    there = rows(tmp_path, "cat dog,animal", "one two,number")
    found = measured(replace(shared.toy("bert"), method=method), tmp_path, on=there)
    assert found.elsewhere is not None
    assert found.reference is None
    assert "no backbone is trained" not in "".join(shifts([found]).notes)


def test_a_method_that_trains_no_backbone_forgets_nothing_and_takes_no_features_of_its_own(shared: Shared) -> None:
    before = measured(shared.toy("bert"), shared.out).reference
    found = measured(replace(shared.toy("bert"), method=Frozen()), shared.out).reference
    assert before is not None
    assert found is not None
    assert before.trained
    assert not found.trained
    assert found.before == found.after == before.before


@pytest.mark.parametrize("family", ["bert", "llama", "dinov2"])
@pytest.mark.parametrize("method", [LoRA(), Full()], ids=["lora", "full"])
def test_trained_weights_put_back_are_the_pretrained_backbone_exactly(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str, method: Method
) -> None:
    recipe = replace(toy(family), method=method)
    result, folder = finished(recipe, tmp_path)
    undo(folder, recipe)
    reference = ToyImages() if family in tiny.IMAGE_FAMILIES else REFERENCE
    found = shift(recipe, result, reference=reference).reference
    assert found is not None
    assert found.trained
    assert found.before == found.after


def undo(folder: Path, recipe: Recipe) -> None:
    """Make the trained backbone what it was."""
    adapter, model = folder / "adapter" / "adapter_model.safetensors", folder / "model" / "model.safetensors"
    if adapter.is_file():
        stored = load_file(adapter)
        save_file({name: each * ("lora_B" not in name) for name, each in stored.items()}, adapter, {"format": "pt"})
        return
    assert isinstance(recipe.checkpoint, Local)
    stored = load_file(model)
    for name, each in load_file(Path(recipe.checkpoint.folder) / "model.safetensors").items():
        (whole,) = (known for known in stored if known.partition(".")[2] == name)
        stored[whole] = each
    save_file(stored, model, {"format": "pt"})


def test_a_backbone_that_lost_its_words_knows_less(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = toy("bert")
    result, folder = finished(recipe, tmp_path)
    path = folder / "model" / "model.safetensors"
    stored = load_file(path)
    stored["bert.embeddings.word_embeddings.weight"].zero_()
    save_file(stored, path, {"format": "pt"})
    found = shift(recipe, result, reference=REFERENCE).reference
    assert found is not None
    moved = change([found.before], [found.after])
    assert moved.high is not None
    assert moved.high < 0


def test_what_moved_is_counted_seed_by_seed_however_far_apart_the_seeds_began() -> None:
    rng = np.random.default_rng(0)
    before = [rng.random(200) < share for share in (0.2, 0.8)]
    after = [each.copy() for each in before]
    for each in after:
        each[np.flatnonzero(~each)[:10]] = True  # ten rows more with either
    moved = change(*([Items.of(tuple(map(str, range(200))), each) for each in both] for both in (before, after)))
    assert moved.value == pytest.approx(0.05)
    assert moved.low is not None
    assert moved.low > 0


def test_the_loss_of_a_token_is_that_of_the_checkpoint_as_a_language_model(shared: Shared) -> None:
    recipe = shared.toy("gpt2")
    assert isinstance(recipe.checkpoint, Local)
    found = measured(recipe, shared.out).reference
    assert found is not None
    assert found.language is not None
    model = AutoModelForCausalLM.from_pretrained(recipe.checkpoint.folder).eval()
    examples = session(replace(recipe, data=REFERENCE)).examples()["test"]
    nats, tokens = 0.0, 0
    for number, length in enumerate(examples.lengths.tolist()):
        ids = examples.batch(np.array([number])).inputs["input_ids"]
        if length > 1:
            with torch.no_grad():
                nats += float(model(input_ids=ids, labels=ids).loss) * (length - 1)
            tokens += length - 1
    assert found.language.tokens == tokens
    assert found.language.before.value == pytest.approx(nats / tokens, rel=1e-5)
    assert found.language.after.value != found.language.before.value
    gap = found.language.after.value - found.language.before.value
    assert found.language.change.value == pytest.approx(gap, abs=1e-6)


def test_a_checkpoint_that_writes_no_text_or_lacks_the_head_for_it_has_no_such_loss(shared: Shared) -> None:
    for family in ("bert", "llama"):  # the tiny Llama was saved without the head, and its words are not tied
        found = measured(shared.toy(family), shared.out).reference
        assert found is not None
        assert found.language is None


def test_a_head_that_the_checkpoint_holds_is_taken(shared: Shared, tmp_path: Path) -> None:
    recipe = shared.toy("llama")
    folder = tmp_path / "with_head"
    with torch.random.fork_rng(), torch.no_grad():
        AutoModelForCausalLM.from_config(deepcopy(tiny.CONFIGS["llama"])).save_pretrained(folder)
    tiny.tokenizer("llama").save_pretrained(folder)
    found = measured(replace(recipe, checkpoint=Local(str(folder)), method=Frozen()), tmp_path).reference
    assert found is not None
    assert found.language is not None
    assert found.language.change.value == 0


def test_what_was_measured_is_read_again_and_no_model_is_built(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, on = toy("gpt2"), rows(tmp_path, "cat dog sheep dog,animal", "sun moon moon sun,sky")
    first = measured(recipe, tmp_path, on=on)
    monkeypatch.setattr("finetune.finished.load", lambda *_, **__: pytest.fail("it was loaded again"))
    monkeypatch.setattr(Setup, "model", lambda *_: pytest.fail("a model was built again"))
    assert measured(recipe, tmp_path, on=on) == first
    with pytest.raises(pytest.fail.Exception, match="again"):  # other rows are another measurement
        measured(recipe, tmp_path, on=rows(tmp_path, "cat dog sheep,animal", "moon moon sun,sky"))


def test_a_run_that_came_to_no_score_is_measured_nowhere(shared: Shared) -> None:
    result, _ = finished(shared.toy("bert"), shared.out)
    lost = shift(shared.toy("bert"), replace(result, status="diverged", scores={}), reference=REFERENCE)
    assert (lost.elsewhere, lost.reference) == (None, None)
    found = shifts([lost])
    assert "diverged" in found.rows[0]


def test_a_record_of_it_is_the_same_after_it_was_written(shared: Shared, tmp_path: Path) -> None:
    on = rows(tmp_path, "cat dog sheep dog,animal", "sun moon moon sun,sky")
    found = measured(shared.toy("gpt2"), shared.out, on=on)
    again = Shift.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert shifts([again]) == shifts([found])
    with pytest.raises(InputError, match="is to have all fields of Shift, got"):
        Shift.from_json(found.result.to_json())


def test_the_table_has_a_row_for_each_method_over_its_seeds_and_says_what_was_left_out(
    shared: Shared, tmp_path: Path
) -> None:
    on = rows(tmp_path, "cat dog sheep dog,animal", "sun moon moon sun,sky", "red,colour")
    runs = [replace(shared.toy("gpt2"), method=method, seed=seed) for method in (Frozen(), Full()) for seed in (0, 1)]
    found = [measured(recipe, shared.out, on=on) for recipe in runs]
    made = shifts(found)
    frozen, full = (dict(zip(made.header, row, strict=True)) for row in made.rows)
    assert [row["method"] for row in (frozen, full)] == ["frozen", "full"]
    assert (full["seeds"], full["rows"], full["rows asked"], full["reference"]) == ("2", "2", "60", "toy")
    assert frozen["before %"] == full["before %"] == frozen["after %"]
    assert frozen["points"] == "+0.00 (+0.00 to +0.00)"
    assert frozen["nats more"] == "+0.000 (+0.000 to +0.000)"
    moved = np.mean([each.reference.language.change.value for each in found[2:] if each.reference])  # pyright: ignore
    assert full["nats more"].startswith(f"{moved:+.3f} (")
    assert any("without 1 row of labels that it does not know; it may answer any label" in n for n in made.notes)
    assert "frozen: no backbone is trained, so after is before" in made.notes


def test_seeds_that_are_far_apart_elsewhere_make_the_interval_there_as_wide(shared: Shared, tmp_path: Path) -> None:
    found = measured(shared.toy("gpt2"), shared.out, on=rows(tmp_path, "cat dog sheep dog,animal", "sun moon,sky"))
    assert found.elsewhere is not None
    ids = [f"{n:03}" for n in range(500)]
    runs = [
        replace(
            found,
            result=replace(
                found.result,
                recipe={**found.result.recipe, "seed": seed},
                fingerprint=f"{found.result.fingerprint}{seed}",
            ),
            elsewhere=replace(
                found.elsewhere,
                scores={"accuracy": proportion(count, 500)},
                items=Items.of(ids, np.arange(500) < count),
            ),
        )
        for seed, count in enumerate((440, 350, 415))
    ]
    made = shifts(runs)
    cell = made.rows[0][made.header.index("elsewhere %")]
    low, high = (float(end) for end in cell.partition("(")[2].rstrip(")").split(" to "))
    assert cell.startswith("80.3 (")
    assert low < 70.0 < 88.0 < high  # the least and the most of the seeds
    assert "95 % interval: over test rows and seeds" in made.notes


def test_columns_without_a_measurement_are_left_out_and_why_is_told(shared: Shared) -> None:
    made = shifts([measured(shared.toy("bert"), shared.out)])
    assert not {"elsewhere", "elsewhere %", "rows", "nats before", "nats after", "nats more"} & set(made.header)
    assert "toy_bert: no data set from elsewhere is known for it; --on RECIPE names one" in made.notes


def test_digits_are_known_to_mnist_and_read_from_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    assert Mnist5k().elsewhere() == Digits()
    found = Digits().load(Digits().fetch(Silent()))
    expected = load_digits()
    assert found.test is None
    assert targets(found.train).tolist() == expected.target.tolist()
    pixels = np.asarray(found.train[7]["image"])
    assert np.array_equal(pixels, np.round(expected.images[7] * 255 / 16).astype(np.uint8))


def test_photographs_are_cut_into_squares_that_no_two_rows_share() -> None:
    found = Photographs().load(Photographs().fetch(Silent()))
    assert found.test is not None
    assert (len(found.train), len(found.test), len(found.labels)) == (360, 360, 18)
    assert len({*found.train["id"], *found.test["id"]}) == 720
    assert {*np.bincount(targets(found.train)), *np.bincount(targets(found.test))} == {20}
    assert found.train[0]["image"].size == (24, 24)


def test_a_run_is_asked_about_a_data_set_that_it_is_not_about() -> None:
    for known in REFERENCES.values():
        assert len(set(known)) == len(known)
    assert Topics("20newsgroups") in REFERENCES["text"]
    assert len(REFERENCES["text"]) > 1  # 20 Newsgroups may be what a run is about


OWN = """
from finetune import *
from finetune.data.toy import ToyImages, ToyText
recipe = Recipe(name={name!r}, checkpoint={checkpoint!r}, data={data!r}, task=Classification(), method=Full(),
    budget=Budget(epochs=1, batch_size=16), precision="float32")
"""


def test_the_command_prints_saves_and_is_printed_again_and_a_second_call_measures_nothing(
    toy: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, data = toy("bert").checkpoint, rows(tmp_path, "cat dog sheep dog,animal", "sun moon moon sun,sky")
    for name, its in (("mine", ToyText()), ("other", data)):
        (tmp_path / f"{name}.py").write_text(OWN.format(name=name, checkpoint=checkpoint, data=its))
    out, other = str(tmp_path / "out"), str(tmp_path / "other.py")
    arguments = ["elsewhere", str(tmp_path / "mine.py"), "--methods", "frozen,full", "--seeds", "1", "--out", out]
    arguments += ["--on", other, "--reference", str(tmp_path / "mine.py"), "--save", "away"]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    assert [line.split()[:2] for line in printed.splitlines()[2:4]] == [["mine", "frozen"], ["mine", "full"]]
    assert {path.name for path in (tmp_path / "out" / "tables").iterdir()} == {
        f"away.{ending}" for ending in ("md", "csv", "tex", "json")
    }
    monkeypatch.setattr(Setup, "model", lambda *_: pytest.fail("a model was built again"))
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == printed
    assert cli.main(["tables", "away", "--by", "elsewhere", "--out", out]) == 0
    assert capsys.readouterr().out == printed
    assert cli.main(["tables", "away", "--out", out]) == 2
    assert "away was saved by `finetune elsewhere`; `finetune tables away --by elsewhere`" in capsys.readouterr().err


def test_the_command_measures_controls_where_it_is_told_to_and_what_has_no_backbone_has_nothing_to_forget(
    toy: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, data = toy("gpt2").checkpoint, rows(tmp_path, "cat dog sheep dog,animal", "sun moon moon sun,sky")
    for name, its in (("mine", ToyText()), ("other", data)):
        (tmp_path / f"{name}.py").write_text(OWN.format(name=name, checkpoint=checkpoint, data=its))
    arguments = ["elsewhere", str(tmp_path / "mine.py"), "--methods", "frozen,full", "--seeds", "2", "--controls"]
    arguments += ["--on", str(tmp_path / "other.py"), "--reference", str(tmp_path / "mine.py"), "--format", "csv"]
    assert cli.main([*arguments, "--save", "away", "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    made = {(row["recipe"], row["method"]): row for row in csv.DictReader(lines) if row["rows"]}
    assert list(made) == [
        ("mine", "frozen"),
        ("mine", "full"),
        ("mine", "majority"),
        ("mine", "surface"),
        ("mine+shuffled", "frozen"),
        ("mine+untrained", "frozen"),
        ("mine+untrained", "full"),
    ]
    assert {row["rows"] for row in made.values()} == {"2"}
    assert {name for name, row in made.items() if row["before %"] == "–"} == {("mine", "majority"), ("mine", "surface")}
    frozen = {name: made[name, "frozen"] for name in ("mine", "mine+shuffled", "mine+untrained")}
    assert {row["points"].lstrip("'") for row in frozen.values()} == {
        "+0.00 (+0.00 to +0.00)"
    }  # each seed beside its own weights
    before = {name: row["nats before"] for name, row in frozen.items()}
    assert before["mine"] == before["mine+shuffled"] != before["mine+untrained"]
    notes = [
        line for line in (tmp_path / "out" / "tables" / "away.md").read_text().splitlines() if " elsewhere: " in line
    ]
    assert [note.split()[1] for note in notes] == ["mine"]  # of its controls it is the same


def test_rows_whose_labels_were_dealt_out_are_about_what_they_were_about() -> None:
    dealt = Shuffled(of=Shuffled(of=Topics("20newsgroups")))
    assert dealt.origin == Topics("20newsgroups")
    assert Shuffled(of=Mnist5k()).elsewhere() == Digits()
    assert Shuffled(of=Topics("reuters-r8")).elsewhere() is None


def test_what_does_not_fit_the_runs_is_refused_before_anything_is_run(
    toy: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = toy("bert").checkpoint
    others = {"other": rows(tmp_path, *["a b,red", "c d,blue"] * 10), "pictures": ToyImages(), "same": ToyText(test=20)}
    for name, data in ({"mine": ToyText()} | others).items():
        (tmp_path / f"{name}.py").write_text(OWN.format(name=name, checkpoint=checkpoint, data=data))
    out, mine = tmp_path / "out", str(tmp_path / "mine.py")
    arguments = ["elsewhere", mine, "--methods", "frozen", "--seeds", "1", "--out", str(out)]
    for option, name, words in (
        ("--on", "other.py", "elsewhere.csv has no label of mine: blue, red; it knows animal, "),
        ("--on", "pictures.py", "mine reads text, toy has image"),
        ("--on", "same.py", "all 20 rows of toy with a label of mine are in toy too: they are not from elsewhere"),
        ("--reference", "pictures.py", "mine reads text, toy has image"),
    ):
        assert cli.main([*arguments, option, str(tmp_path / name)]) == 2
        assert f"finetune: {words}" in capsys.readouterr().err
    assert cli.main([*arguments, "--on", "bert_r9"]) == 2
    assert "unknown recipe 'bert_r9'; did you mean 'bert_r8'?" in capsys.readouterr().err
    assert not out.exists()


def test_the_command_shows_what_else_there_is_of_a_run_that_it_could_not_measure(
    toy: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(OWN.format(name="mine", checkpoint=toy("bert").checkpoint, data=ToyText()))
    mine, out = str(tmp_path / "mine.py"), tmp_path / "out"
    arguments = ["elsewhere", mine, "--methods", "frozen", "--seeds", "1", "--out", str(out), "--reference", mine]
    assert cli.main(arguments) == 0
    (kept,) = (out / "mine").glob("*/reference-*.json")
    for damage in ("{", '{"of": "toy"}'):
        kept.write_text(damage)
        capsys.readouterr()
        assert cli.main(arguments) == 2
        said = capsys.readouterr()
        assert f"finetune: mine frozen seed 0: {kept} is damaged" in said.err
        assert "delete it and it is measured again" in said.err
        assert said.out.splitlines()[2].split()[:2] == ["mine", "frozen"]


def test_few_updates_are_told_where_a_backbone_had_no_time_to_forget(shared: Shared) -> None:
    made = shifts([measured(shared.toy("bert"), shared.out)])
    assert made.notes[0].startswith("few updates, which is no verdict on a method: toy_bert full 8; a smaller budget")


def test_a_record_without_its_folder_and_a_run_about_all_that_is_known_are_refused(shared: Shared) -> None:
    result, _ = finished(shared.toy("bert"), shared.out)
    with pytest.raises(InputError, match="result is to be one that `run` or `compare` gave: a record alone holds no"):
        shift(shared.toy("bert"), replace(result, folder=None), reference=REFERENCE)
    with pytest.raises(InputError, match="toy_dinov2 is about all that is known here of its kind: --reference RECIPE"):
        shift(replace(shared.toy("dinov2"), data=Photographs()), result)
