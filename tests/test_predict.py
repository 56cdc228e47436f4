"""A finished run answers: the same as when it was tested, in any batch, without its data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image

from finetune import (
    Classification,
    Files,
    Frozen,
    Full,
    InputError,
    LoRA,
    Predictor,
    Recipe,
    Result,
    Split,
    cli,
    evaluate,
    load,
    outputs,
    run,
)
from finetune.methods import Method
from finetune.session import session

ROWS = "text,label\n" + "cat dog,animal\none two,number\n" * 20


def finished(recipe: Recipe, out: Path) -> Path:
    folder = run(recipe, out=out).folder
    assert folder is not None
    return folder


def inputs(recipe: Recipe) -> list[Any]:
    rows = session(recipe).splits().test
    return rows["image" if "image" in rows.column_names else "text"][:]


@pytest.mark.parametrize("method", [Frozen(), LoRA(), Full()], ids=["frozen", "lora", "full"])
@pytest.mark.parametrize("family", tiny.PACKAGED_FAMILIES)
def test_a_loaded_run_predicts_what_it_predicted_when_it_was_tested(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str, method: Method
) -> None:
    recipe = replace(toy(family), method=method)
    folder = finished(recipe, tmp_path)
    lines = outputs.read_lines(folder / "predictions.jsonl")
    predictor = load(str(folder))
    found = predictor(inputs(recipe))
    assert (predictor.recipe, predictor.labels) == (recipe, session(recipe).splits().labels)
    assert [predictor.labels.index(each.label) for each in found] == [line["output"] for line in lines]
    for each, line in zip(found, lines, strict=True):
        shares = np.exp(line["logits"]) / np.exp(line["logits"]).sum()
        np.testing.assert_allclose(list(each.probabilities.values()), shares, atol=1e-4)
        assert tuple(each.probabilities) == predictor.labels
        assert each.probability == each.probabilities[each.label] == max(each.probabilities.values())
        assert sum(each.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("method", [Frozen(), LoRA(), Full()], ids=["frozen", "lora", "full"])
def test_a_run_is_loaded_where_its_data_is_gone(
    toy: Callable[[str], Recipe], tmp_path: Path, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    folder = finished(replace(toy("bert"), data=Files(train="rows.csv"), method=method), tmp_path / "out")
    (tmp_path / "rows.csv").unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert {each.label for each in load(folder)(["cat", "two one"])} <= {"animal", "number"}


def test_an_input_is_told_the_same_alone_and_among_others_and_in_their_order(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(toy("llama"), method=Frozen())
    predictor = load(finished(recipe, tmp_path))
    together = predictor(inputs(recipe))
    monkeypatch.setattr(evaluate, "tokens_per_pass", lambda _: 8)
    few, alone = predictor(inputs(recipe)), [predictor([text])[0] for text in inputs(recipe)[:5]]
    for one, other in [*zip(together, few, strict=True), *zip(together, alone, strict=False)]:
        assert one.label == other.label
        assert one.probability == pytest.approx(other.probability, abs=1e-5)
    assert predictor([]) == []


def test_a_text_that_was_cut_is_named(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    predictor = load(finished(replace(toy("bert"), task=Classification(max_length=6)), tmp_path))
    found = predictor(["cat", "cat dog horse sheep one two three four", "sun", "sun moon sun moon sun moon"])
    assert [each.truncated for each in found] == [False, True, False, True]
    assert predictor.encode(["cat", "cat dog horse sheep one two three four"]).truncated == 1


def test_a_prediction_cannot_be_changed(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    (found,) = load(finished(replace(toy("bert"), method=Frozen()), tmp_path))(["cat"])
    with pytest.raises(FrozenInstanceError):
        found.label = "dog"  # pyright: ignore[reportAttributeAccessIssue]


def test_pairs_are_told_as_pairs(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,other,label\n" + "cat,dog,same\ncat,sun,not\n" * 20)
    data = Files(train=str(tmp_path / "rows.csv"), text_pair="other")
    recipe = replace(toy("bert"), data=data, method=Frozen())
    predictor = load(finished(recipe, tmp_path / "out"))
    assert [each.label for each in predictor([("cat", "dog"), ("cat", "sun")])] == ["same", "not"]
    for wrong, words in (
        (["cat"], "was trained on pairs of texts, each a tuple of two, got 'cat'"),
        ([("cat", "dog"), ("cat",)], r"input 2 must be a tuple of two texts, as the first is, got \('cat',\)"),
        ([("cat", "dog"), "cat"], "input 2 must be a tuple of two texts, as the first is, got 'cat'"),
    ):
        with pytest.raises(InputError, match=words):
            predictor(wrong)


@pytest.fixture
def sees(toy: Callable[[str], Recipe], tmp_path: Path) -> Predictor:
    return load(finished(replace(toy("vit"), method=Frozen()), tmp_path / "out"))


def test_an_image_is_the_same_from_pil_and_by_either_kind_of_path(sees: Predictor, tmp_path: Path) -> None:
    picture = Image.new("RGB", (20, 30), (200, 40, 40))
    picture.save(tmp_path / "red.png")
    found = sees([picture, str(tmp_path / "red.png"), tmp_path / "red.png", picture.convert("RGBA")])
    assert {each.label for each in found} == {"red"}
    assert len({round(each.probability, 6) for each in found}) == 1
    assert not any(each.truncated for each in found)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("x.png", "a predictor takes a list of inputs, also of a single one; got 'x.png'"),
        (["missing.png"], "there is no image 'missing.png' in /"),
        (["rows.csv"], "rows.csv is not a readable image: cannot identify"),
        ([3], "input 1 must be an image or a path to one, got 3"),
        ([("a", "b")], r"input 1 must be an image or a path to one, got \('a', 'b'\)"),
    ],
)
def test_what_is_no_image_is_named(
    sees: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Any, words: str
) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        sees(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("cat", "a predictor takes a list of inputs, also of a single one; got 'cat'"),
        (None, "a predictor takes a list of inputs, also of a single one; got None"),
        (["cat", 3], "input 2 must be a text, got 3"),
        (["cat", ("dog", "sun")], r"input 2 must be a text, got \('dog', 'sun'\)"),
        ([Path("x.png")], r"input 1 must be a text, got PosixPath\('x.png'\)"),
    ],
)
def test_what_is_no_text_is_named(toy: Callable[[str], Recipe], tmp_path: Path, given: Any, words: str) -> None:
    predictor = load(finished(replace(toy("bert"), method=Frozen()), tmp_path))
    with pytest.raises(InputError, match=words):
        predictor(given)


def test_a_pair_for_a_run_on_single_texts_is_refused(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    recipe = replace(toy("bert"), data=Files(train=str(tmp_path / "rows.csv")), method=Frozen())
    with pytest.raises(InputError, match=r"was trained on single texts, got \('cat', 'dog'\)"):
        load(finished(recipe, tmp_path / "out"))([("cat", "dog")])


def test_a_folder_that_holds_no_run_is_named_with_the_runs_below_it(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished(replace(toy("bert"), method=Frozen()), tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"{folder.parent} holds no finished run: .*runs below it: {folder.name}$"):
        load("toy_bert")
    with pytest.raises(InputError, match=f"{tmp_path}/nothing holds no finished run: there is no result.json$"):
        load("nothing")


def test_a_run_that_lost_or_broke_what_it_saved_is_named(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    for method, file in ((Frozen(), "head/head.safetensors"), (Full(), "model/model.safetensors")):
        folder = finished(replace(toy("bert"), method=method), tmp_path)
        (folder / file).write_bytes(b"damaged")
        with pytest.raises(InputError, match=r"cannot be read: |cannot read the weights of checkpoint"):
            load(folder)
        (folder / file).unlink()
        with pytest.raises(InputError, match=r"cannot be read: No such file|holds no model.safetensors"):
            load(folder)


def test_a_run_that_diverged_predicts_nothing(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    folder = finished(replace(toy("bert"), method=Frozen()), tmp_path)
    record = folder / "result.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "diverged"}))
    with pytest.raises(InputError, match="holds a run that diverged: there is no model of it that predicts"):
        load(folder)


def test_the_record_of_a_run_does_not_say_where_it_lies(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    result = run(replace(toy("bert"), method=Frozen(), split=Split(test_rows=4)), out=tmp_path)
    assert result.folder is not None
    stored = json.loads((result.folder / "result.json").read_text())
    assert "folder" not in stored
    assert Result.from_json(stored) == result


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["predict", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_prints_a_line_for_each_text(
    toy: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished(replace(toy("bert"), task=Classification(max_length=12)), tmp_path)
    texts = ["cat dog", "one two three\nfour " * 8]
    capsys.readouterr()
    code, out, err = answer(capsys, str(folder), *texts)
    lines = out.splitlines()
    assert code == 0
    assert [line[:8].strip() for line in lines] == ["cat dog", "one two"]
    assert lines[1][:60] == ("one two three four " * 8)[:58] + " …"
    expected = load(folder)(texts)
    assert [line[60:].split() for line in lines] == [[each.label, f"{each.probability:.3f}"] for each in expected]
    assert "1 of 2 texts were longer than what the model reads, and cut" in err
    code, out, _ = answer(capsys, str(folder), *texts, "--format", "json")
    records = json.loads(out)
    assert [record["input"] for record in records] == texts
    assert [record["probabilities"] for record in records] == [each.probabilities for each in expected]
    assert [record["truncated"] for record in records] == [False, True]


def test_the_command_says_how_much_of_each_input_is_unknown(
    toy: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(finished(replace(toy("bert"), method=Frozen()), tmp_path))
    capsys.readouterr()
    _, out, err = answer(capsys, folder, "cat zebra", "cat dog", "zebra gnu emu")
    assert len(out.splitlines()) == 3
    assert err == (
        "1 of 2 tokens of input 1, 3 of 3 tokens of input 3 are unknown to the run's tokenizer, "
        "and all the same to its model\n"
    )
    _, out, err = answer(capsys, folder, "zebra", "--format", "json")
    assert len(json.loads(out)) == 1
    assert "1 of 1 tokens of input 1 are unknown" in err
    assert "of input 5, … are unknown" in answer(capsys, folder, *["zebra"] * 6)[2]
    assert answer(capsys, folder, "cat dog")[2] == ""


def test_of_a_pair_both_halves_are_counted_and_of_an_image_nothing(
    toy: Callable[[str], Recipe], sees: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("text,other,label\n" + "cat,dog,same\ncat,sun,not\n" * 20)
    data = Files(train=str(tmp_path / "rows.csv"), text_pair="other")
    predictor = load(finished(replace(toy("bert"), data=data, method=Frozen()), tmp_path / "pairs"))
    assert predictor.unknown([("cat zebra", "gnu"), ("", "dog")]) == [(2, 3), (0, 1)]
    assert sees.unknown(["red.png", "blue.png"]) == [(0, 0), (0, 0)]


def test_what_is_empty_is_named(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,other,label\n" + "cat,dog,same\ncat,sun,not\n" * 20)
    data = Files(train=str(tmp_path / "rows.csv"), text_pair="other")
    predictor = load(finished(replace(toy("bert"), data=data, method=Frozen()), tmp_path / "out"))
    assert len(predictor([("cat", ""), ("", "cat")])) == 2
    with pytest.raises(InputError, match=r"input 2 is empty, of which nothing can be said: got \('', ' '\)"):
        predictor([("cat", ""), ("", " ")])


def test_the_command_reads_images_and_pairs(
    toy: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (20, 30), (200, 40, 40)).save(tmp_path / "red.png")
    folder = finished(replace(toy("vit"), method=Frozen()), tmp_path)
    assert answer(capsys, str(folder), str(tmp_path / "red.png"))[1].split()[-2] == "red"
    (tmp_path / "rows.csv").write_text("text,other,label\n" + "cat,dog,same\ncat,sun,not\n" * 20)
    data = Files(train=str(tmp_path / "rows.csv"), text_pair="other")
    folder = finished(replace(toy("bert"), data=data, method=Frozen()), tmp_path)
    code, out, _ = answer(capsys, str(folder), "--pairs", "cat", "dog", "cat", "sun")
    assert (code, [line.split()[:4] for line in out.splitlines()]) == (
        0,
        [["cat", "·", "dog", "same"], ["cat", "·", "sun", "not"]],
    )
    code, out, err = answer(capsys, str(folder), "--pairs", "cat", "dog", "cat")
    assert (code, out) == (2, "")
    assert "--pairs takes an even number of texts, got 3" in err


def test_the_command_answers_a_folder_without_a_run_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = answer(capsys, str(tmp_path), "cat")
    assert (code, out) == (2, "")
    assert err == f"finetune: {tmp_path} holds no finished run: there is no result.json\n"
