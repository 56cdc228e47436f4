"""`finetune embeddings`: which tokens of a finished run are alike, in words and as a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from PIL import Image

from finetune import AdamW, Blank, Budget, Frozen, Full, LoRA, Recipe, Scratch, Transformer, Translation, cli, run
from finetune.data.toy import ToyPairs
from finetune.methods import Method
from finetune.methods.majority import Majority
from finetune.transformer.tokenizers.words import Words

DATA = ToyPairs(train=60, test=10)


@pytest.fixture(scope="module")
def scratch(shared: tiny.Shared) -> Path:
    """The folder of a run of a Transformer from scratch."""
    recipe = Recipe(
        name="small",
        checkpoint=Blank(system=Transformer(width=16, heads=2, layers=1, inner=32), tokenizer=Words(), texts=DATA),
        data=DATA,
        task=Translation(max_target=6),
        method=Scratch(optim=AdamW(learning_rate=3e-3)),
        budget=Budget(epochs=1, batch_size=16),
        precision="float32",
    )
    return run(recipe, out=shared.out).folder or shared.out


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    assert cli.main(["embeddings", *map(str, arguments)]) == 0
    return capsys.readouterr().out.splitlines()


def test_each_word_stands_before_its_nearest_once(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    title, _, _, _, cat, moon, _, chance = said(capsys, scratch, "cat", "moon", "cat")
    assert title.startswith("Embeddings of small: ")
    assert title.endswith(" tokens of 16 numbers")
    assert (cat.split()[0], moon.split()[0]) == ("cat", "moon")
    cosines = [float(each.split()[-1]) for each in cat.split(" · ")]
    assert len(cosines) == 5
    assert cosines == sorted(cosines, reverse=True)
    assert chance == "two directions drawn at random have a cosine of 0 ± 0.25 (standard deviation)"


def test_without_words_a_small_vocabulary_is_told_whole(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, scratch)
    assert len(lines) == int(lines[0].split()[3]) + 6
    assert {"cat", "moon"} < {line.split()[0] for line in lines[4:-2]}


@pytest.mark.parametrize("method", [Frozen(), LoRA(), Full()], ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_it_is_said_of_pretrained_ones_of_any_method(
    shared: tiny.Shared, capsys: pytest.CaptureFixture[str], family: str, method: Method
) -> None:
    result = run(replace(shared.toy(family), method=method), out=shared.out)
    lines = said(capsys, result.folder, "cat", "dog")
    assert [line.split()[0] for line in lines[4:6]] == ["cat", "dog"]


def test_the_picture_has_a_name_for_each_word(
    scratch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "plane.png"
    assert said(capsys, scratch, "cat", "dog", "moon", "--figure", picture)[-1] == f"drawn: {picture}"
    with Image.open(picture) as image:
        assert image.format == "PNG"
    again, others = tmp_path / "again.png", tmp_path / "others.png"
    said(capsys, scratch, "cat", "dog", "moon", "--figure", again)
    said(capsys, scratch, "--figure", others)
    assert picture.read_bytes() == again.read_bytes() != others.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mon",), "unknown token 'mon'; did you mean 'moon'? known: "),
        (("cat moon",), "'cat moon' is read as 2 tokens, cat · moon: unknown token 'cat moon'; "),
        (("cat", "moon", "--figure", "x.png"), "a plane needs at least 3 tokens, got 2"),
        (("cat", "--figure", "x.jpg"), "a figure is saved as .png or .svg, got 'x.jpg'"),
    ],
)
def test_what_cannot_be_told_is_one_line(
    scratch: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert cli.main(["embeddings", str(scratch), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_a_folder_without_embeddings_of_tokens_is_refused_in_one_line(
    shared: tiny.Shared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = run(shared.toy("vit"), out=shared.out).folder
    constant = replace(shared.toy("bert"), method=Majority())
    networkless = run(constant, out=shared.out).folder
    capsys.readouterr()
    for folder, words in (
        (tmp_path, f"{tmp_path} holds no finished run: there is no result.json"),
        (images, "a vit reads images: it has no embeddings of tokens"),
        (networkless, f"{constant.label} keeps no network, and so no embeddings of tokens"),
    ):
        assert cli.main(["embeddings", str(folder)]) == 2
        out, err = capsys.readouterr()
        assert (out, err) == ("", f"finetune: {words}\n")
