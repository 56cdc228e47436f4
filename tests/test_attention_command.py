"""`finetune attention`: what it says beside the picture, and what it cannot show."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import finetune.report
from finetune import AdamW, Full, Recipe, cli, run
from finetune.session import session

OWN = '''"""Mine."""

from finetune import Budget, Classification, Full, Local, Recipe
from finetune.data.toy import {data}

recipe = Recipe(
    name="toy_{family}",
    checkpoint=Local({checkpoint!r}),
    data={data}(),
    task=Classification(),
    method=Full(),
    budget=Budget(epochs=2, batch_size=16),
    precision="float32",
)
'''


@pytest.fixture
def mine(checkpoint: Callable[[str], Path], own_cache: Path, tmp_path: Path) -> Callable[[str], str]:
    """The path of a recipe file for a tiny checkpoint of a family."""
    assert not own_cache.exists()

    def file(family: str) -> str:
        data = "ToyImages" if family == "dinov2" else "ToyText"
        path = tmp_path / f"{family}.py"
        path.write_text(OWN.format(family=family, checkpoint=str(checkpoint(family)), data=data))
        return str(path)

    return file


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["attention", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_text_is_told_head_by_head_and_drawn_where_it_says(
    capsys: pytest.CaptureFixture[str], mine: Callable[[str], str], tmp_path: Path
) -> None:
    code, out, _ = answer(capsys, mine("bert"), "cat dog moon", "--out", str(tmp_path))
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "Attention of toy_bert, layer 2 of 2 (the text, 5 tokens)"
    assert lines[2].split("  ")[0] == "head"
    assert [line.split("  ")[0] for line in lines[4:6]] == ["head 1", "head 2"]
    assert "→" in lines[4]
    assert lines[-1] == f"drawn in {tmp_path / 'figures' / 'toy_bert-attention.png'}"
    with Image.open(tmp_path / "figures" / "toy_bert-attention.png") as image:
        assert image.format == "PNG"


def test_an_image_is_drawn_as_svg_where_one_wants_it(
    capsys: pytest.CaptureFixture[str], mine: Callable[[str], str], tmp_path: Path
) -> None:
    Image.new("RGB", (20, 20), (0, 90, 0)).save(tmp_path / "green.png")
    save = tmp_path / "deep" / "map.svg"
    code, out, _ = answer(capsys, mine("dinov2"), str(tmp_path / "green.png"), "--layer", "all", "--save", str(save))
    assert code == 0
    assert "all 2 layers" in out
    assert "layer 2" in out
    assert "<svg" in save.read_text()


def test_an_intervention_is_named_and_the_checkpoints_own_is_not(
    capsys: pytest.CaptureFixture[str], mine: Callable[[str], str], tmp_path: Path
) -> None:
    arguments = (mine("bert"), "cat dog moon", "--out", str(tmp_path))
    plain = answer(capsys, *arguments)[1]
    assert "in place of its own" not in plain
    assert answer(capsys, *arguments, "--attention", "stock")[1] == plain
    out = answer(capsys, *arguments, "--attention", "uniform")[1]
    assert "uniform in place of its own" in out
    assert "2.32" in out  # log₂ 5: it looks at all five alike
    assert "linear in place of its own" in answer(capsys, *arguments, "--attention", "linear")[1]


def test_before_and_after_says_which_heads_changed_most(
    capsys: pytest.CaptureFixture[str],
    mine: Callable[[str], str],
    toy: Callable[[str], Recipe],
    tmp_path: Path,
) -> None:
    recipe = replace(toy("bert"), method=Full(optim=AdamW(learning_rate=1e-2)))
    run(recipe, out=tmp_path)
    folder = session(recipe).folder(tmp_path).path
    code, out, err = answer(capsys, mine("bert"), "cat dog", "--after", str(folder), "--out", str(tmp_path))
    assert (code, err) == (0, "")
    assert f"before and after {folder.name} (the text, 4 tokens)" in out
    moved = [float(line.split()[2]) for line in out.splitlines()[4:6]]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 0
    assert (tmp_path / "figures" / "toy_bert-before-after.png").is_file()


@pytest.mark.parametrize(
    ("family", "kind"), [("bert", "learned positions"), ("llama", "rotary positions"), ("dinov2", "learned positions")]
)
def test_positions_are_told_by_distance_with_the_papers_beside_them(
    capsys: pytest.CaptureFixture[str], mine: Callable[[str], str], tmp_path: Path, family: str, kind: str
) -> None:
    code, out, _ = answer(capsys, mine(family), "--positions", "--out", str(tmp_path))
    assert code == 0
    assert f"{kind} of toy_{family}" in out
    (waves,) = (line for line in out.splitlines() if line.startswith("sinusoidal"))
    falls = [float(part) for part in waves.split() if part.startswith(("+", "-"))]
    assert falls[0] > falls[1] > falls[2]
    assert (tmp_path / "figures" / f"toy_{family}-positions.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layer", "3"], "--layer must be in 1 … 2, as many as the model has, or all; got '3'"),
        (["--save", "map.pdf"], "a figure is saved as .png or .svg, got 'map.pdf'"),
        (["--after", "nowhere"], "nowhere holds no finished run"),
        (["--after", "nowhere", "--attention", "uniform"], "leave out --attention"),
        (["--positions", "--layer", "1"], "leave out --layer"),
        (["--positions", "--after", "nowhere"], "leave out --after"),
        (["a text", "--positions"], "leave out INPUT"),
        (["--attention", "unifrom"], "unknown attention 'unifrom'; did you mean 'uniform'?"),
    ],
)
def test_what_cannot_be_shown_gets_one_line(
    capsys: pytest.CaptureFixture[str], mine: Callable[[str], str], arguments: list[str], words: str
) -> None:
    code, out, err = answer(capsys, mine("bert"), *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_figure_without_matplotlib_says_what_to_install(
    capsys: pytest.CaptureFixture[str], mine: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("figures", "page", "grounds", "fonts"):
        monkeypatch.delitem(sys.modules, f"finetune.report.{name}", raising=False)
        monkeypatch.delattr(finetune.report, name, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = answer(capsys, mine("bert"))
    assert (code, out) == (2, "")
    assert err == ("finetune: matplotlib draws the figures and is not installed: pip install 'finetune[figures]'\n")
