"""Which words of a source each written word looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from finetune import (
    AdamW,
    Blank,
    Budget,
    InputError,
    Recipe,
    Recurrent,
    Scratch,
    Transformer,
    Translation,
    cli,
    load,
    run,
)
from finetune.alignment import align
from finetune.data.toy import ToyPairs
from finetune.predict import Predictor, Written
from finetune.report.grounds import Between, Scale
from finetune.transformer.scores.additive import Additive
from finetune.transformer.scores.dot import Dot
from finetune.transformer.tokenizers.words import Words

DATA = ToyPairs(train=60, test=10)
SYSTEMS = {
    "transformer": Transformer(width=16, heads=2, layers=2, inner=32),
    "dot": Recurrent(width=16, attention=Dot()),
    "additive": Recurrent(cell="rnn", width=16, attention=Additive()),
    "vector": Recurrent(width=16),
}
TEXT = "cat dog moon"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a finished run of each system, made once."""
    root, made = tmp_path_factory.mktemp("runs"), dict[str, Path]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINETUNE_CACHE", str(root / "cache"))

        def of(name: str) -> Path:
            if name not in made:
                recipe = Recipe(
                    name=name,
                    checkpoint=Blank(system=SYSTEMS[name], tokenizer=Words(), texts=DATA),
                    data=DATA,
                    task=Translation(max_target=6),
                    method=Scratch(optim=AdamW(learning_rate=3e-3)),
                    budget=Budget(epochs=1, batch_size=16),
                    precision="float32",
                )
                made[name] = run(recipe, out=root / "out").folder or root
            return made[name]

        yield of


def loaded(folder: Path) -> Predictor:
    return load(folder)


@pytest.mark.parametrize(("name", "layers", "heads"), [("transformer", 2, 2), ("dot", 1, 1), ("additive", 1, 1)])
def test_every_written_token_spends_all_its_weight_on_the_source(
    folder: Callable[[str], Path], name: str, layers: int, heads: int
) -> None:
    predictor = loaded(folder(name))
    found = align(predictor, TEXT)
    assert found.source == ("<s>", "cat", "dog", "moon", "</s>")
    assert len(found.maps_LHTS) == layers
    for maps_HTS in found.maps_LHTS:
        assert maps_HTS.shape == (heads, len(found.written), len(found.source))
        assert torch.allclose(maps_HTS.sum(-1), torch.ones(maps_HTS.shape[:2]), atol=1e-5)
    (said,) = predictor([TEXT])
    assert isinstance(said, Written)
    assert said.text.split() == [token for token in found.written if token.isalpha()]


def test_watching_ends_with_the_look(folder: Callable[[str], Path]) -> None:
    predictor = loaded(folder("transformer"))
    align(predictor, TEXT)
    assert all(getattr(module, "watcher", None) is None for module in predictor.module.modules())


def test_a_layer_shows_its_heads_and_all_the_mean_of_each(folder: Callable[[str], Path]) -> None:
    found = align(loaded(folder("transformer")), TEXT)
    assert list(found.panels(None)) == list(found.panels("2")) == ["layer 2, head 1", "layer 2, head 2"]
    assert list(found.panels("all")) == ["layer 1", "layer 2"]
    assert (found.panels("all")["layer 1"] == found.maps_LHTS[0].mean(0).numpy()).all()
    for wanted in ("0", "3", "last"):
        with pytest.raises(InputError, match=rf"unknown layer of --layer '{wanted}'; .*known: 1, 2, all"):
            found.panels(wanted)


def test_what_a_token_looks_at_most_is_told_with_its_share(folder: Callable[[str], Path]) -> None:
    found = align(loaded(folder("dot")), TEXT)
    weights_TS = found.maps_LHTS[0][0]
    for (token, most, share), weights_S, written in zip(found.facts(None), weights_TS, found.written, strict=True):
        assert token == written
        assert most == found.source[int(weights_S.argmax())]
        assert share == f"{100 * float(weights_S.max()):.0f}"


def test_one_vector_is_nothing_to_look_at(folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="squeezes its source into one vector: nothing looks at words of it; one with"):
        align(loaded(folder("vector")), TEXT)


def test_another_architecture_shows_none(toy_pairs: Callable[[str], Recipe], tmp_path: Path) -> None:
    predictor = load(run(toy_pairs("marian"), out=tmp_path).folder or tmp_path)
    with pytest.raises(InputError, match="is a marian: only encoder–decoders from scratch show what their words look"):
        align(predictor, TEXT)


def test_nothing_has_nothing_to_look_at(folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match=r"a text to be translated is empty, .* got ' '"):
        align(loaded(folder("dot")), " ")


def test_the_command_says_and_draws_it(
    folder: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["align", str(folder("transformer")), TEXT, "--layer", "all", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == f"What transformer looks at in {TEXT}"
    assert "looks most at" in out
    assert (tmp_path / "figures" / "transformer-alignment.png").is_file()
    picture = tmp_path / "own.svg"
    assert cli.main(["align", str(folder("additive")), TEXT, "--save", str(picture)]) == 0
    assert "moon" in picture.read_text() or picture.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((" ",), "INPUT is empty, and nothing in it to translate: got ' '"),
        ((TEXT, "--save", "x.jpg"), "a figure is saved as .png or .svg, got 'x.jpg'"),
        ((TEXT, "--layer", "9"), "unknown layer of --layer '9'"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    folder: Callable[[str], Path], capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert cli.main(["align", str(folder("dot")), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_rows_and_columns_of_a_panel_are_of_two_texts() -> None:
    import numpy as np

    from finetune.report import figures

    look = np.arange(6.0).reshape(2, 3) / 6
    figure = figures.alignment(Between(("one", "two"), ("uno", "y", "dos")), {"": look}, title="t", below="b")
    axes = figure.axes[0]
    assert [each.get_text() for each in axes.get_xticklabels()] == ["uno", "y", "dos"]
    assert [each.get_text() for each in axes.get_yticklabels()] == ["one", "two"]
    assert axes.images[0].get_array().shape[:2] == (2, 3)  # pyright: ignore
    assert Scale.of([look]).high == pytest.approx(5 / 6)
