"""The best of a frozen backbone: what is tried, what is chosen, and that the choice is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from finetune import Frozen, InputError, Recipe, compare, predict, run
from finetune.encode import Examples
from finetune.features import Extraction, layers, pool
from finetune.objective import Logistic
from finetune.outputs import read_lines
from finetune.progress import Silent
from finetune.report.tables import table
from finetune.session import session
from finetune.sweep import RIDGES, Place, finalists, sweep
from tests import tiny

SIZES = {"train": 120, "validation": 60}  # rows
OPEN = Frozen(layer=None, pooling=None, penalty=None)


class Rows(Examples):
    def __init__(self, targets: np.ndarray) -> None:
        self.targets, self.lengths = targets, np.ones(len(targets), dtype=np.int64)

    @property
    def ids(self) -> list[str]:
        return list(map(str, range(len(self))))

    def batch(self, indices: np.ndarray, multiple: int = 1) -> None:  # pyright: ignore
        raise AssertionError("a sweep reads features alone")


def test_the_place_that_knows_the_answer_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = {part: torch.randint(0, 3, (count,), generator=generator) for part, count in SIZES.items()}
    stored = {
        part: {pooling: torch.randn(4, len(each), 8, generator=generator) for pooling in ("cls", "mean")}
        for part, each in targets.items()
    }
    for part, each in targets.items():
        stored[part]["cls"][2, :, :3] += 3 * torch.nn.functional.one_hot(each, 3)
    examples = {part: Rows(each.numpy()) for part, each in targets.items()}
    found = sweep(stored, examples, Logistic(3), None, Logistic.penalties, Silent())
    assert (found.best.layer, found.best.pooling) == (2, "cls")
    best = max(found.places, key=lambda place: place.ridge)
    assert (best.layer, best.pooling) == (2, "cls")
    assert best.ridge > 0.9
    assert best.nearest > 0.9
    heads = {(each.layer, each.pooling) for each in found.tried}
    assert found.probes == 4 * 2 * (len(RIDGES) + 1) + len(heads) * len(Logistic.penalties)


def test_the_two_best_places_by_each_measure_go_on_and_none_twice() -> None:
    def place(layer: int, error: float, ridge: float, nearest: float) -> Place:
        return Place(layer=layer, pooling="mean", error=error, ridge=ridge, nearest=nearest)

    best_by_error = [place(0, 0.10, 0.90, 0.80), place(1, 0.11, 0.91, 0.70)]
    best_by_ridge = [place(2, 0.20, 0.99, 0.75), place(3, 0.30, 0.98, 0.60)]
    best_by_neighbours = [place(4, 0.40, 0.80, 0.95), best_by_error[0]]
    by_none = place(5, 0.12, 0.92, 0.78)
    found = finalists([by_none, *best_by_neighbours, *best_by_ridge, best_by_error[1]])
    assert found == [*best_by_error, *best_by_ridge, best_by_neighbours[0]]


@pytest.mark.parametrize("family", [*tiny.TEXT_FAMILIES, "vit", "deit", "dinov2"])
def test_of_every_family_each_layer_is_read_and_the_last_is_what_the_backbone_gives(
    toy: Callable[[str], Recipe], family: str
) -> None:
    material = session(replace(toy(family), method=Frozen())).material()
    build = lambda: material.build(material.weights)[0]  # noqa: E731
    every, _ = material.extraction.every(build, material.examples)
    last, _ = material.extraction(build, material.examples, "mean")
    stored_LNE = every["test"]["mean"]
    assert len(stored_LNE) == 3  # the embeddings and two blocks
    torch.testing.assert_close(stored_LNE[-1], last["test"].features_NE, rtol=0, atol=1e-5)
    assert not torch.allclose(stored_LNE[0], stored_LNE[1], atol=1e-3)
    assert not torch.allclose(stored_LNE[1], stored_LNE[2], atol=1e-3)


def test_a_layer_is_what_its_block_says(toy: Callable[[str], Recipe]) -> None:
    material = session(replace(toy("bert"), method=Frozen())).material()
    model = material.build(material.weights)[0].base_model.eval()
    said = []
    model.encoder.layer[0].register_forward_hook(lambda *given: said.append(given[2]))
    batch = material.examples["test"].batch(np.arange(3))
    with torch.no_grad():
        found = layers(model, batch.inputs)[1]
    hidden = said[0][0] if isinstance(said[0], tuple) else said[0]
    assert torch.equal(found, hidden)
    assert torch.equal(pool(found, batch.inputs)["cls"], hidden[:, 0].float())


def test_what_is_left_open_is_chosen_and_the_run_is_that_of_the_choice(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    swept = run(replace(toy("bert"), method=OPEN), out=tmp_path)
    assert swept.choice is not None
    named = replace(toy("bert"), method=OPEN.settled(swept.choice))
    assert None not in (named.method.layer, named.method.pooling, named.method.penalty)
    alone = run(named, out=tmp_path)
    assert alone.choice is None
    assert alone.scores == swept.scores
    assert alone.validation_loss == swept.validation_loss


def test_what_is_given_is_not_chosen(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    result = run(replace(toy("bert"), method=Frozen(layer=1, pooling="cls", penalty=None)), out=tmp_path)
    assert result.choice is not None
    assert {(place["layer"], place["pooling"]) for place in result.choice["places"]} == {(1, "cls")}
    assert len(result.choice["tried"]) == len(Logistic.penalties)


def test_a_choice_is_read_again_with_what_was_saved(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    result = run(replace(toy("bert"), method=Frozen(layer=0, pooling="last", penalty=None)), out=tmp_path)
    assert result.status == "done"  # saved and loaded again, it predicted the same
    assert result.folder is not None
    predictor = predict.load(result.folder)
    head = predictor.module.head
    assert (head.layer, head.pooling) == (0, "last")
    assert len(read_lines(result.folder / "predictions.jsonl")) == 30


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_named_with_those_that_are(
    toy: Callable[[str], Recipe], tmp_path: Path, layer: int
) -> None:
    words = f"method.layer must be from -3 to 2 of this backbone, got {layer}: 0 is what its embeddings say, 2 or -1"
    with pytest.raises(InputError, match=words):
        run(replace(toy("bert"), method=Frozen(layer=layer)), out=tmp_path)


def test_every_layer_is_taken_in_one_pass_over_each_split(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, taken = [], Extraction._pooled
    monkeypatch.setattr(Extraction, "_pooled", lambda *given: passes.append(1) or taken(*given))
    methods = (OPEN, Frozen(layer=0), Frozen(layer=1, pooling="cls"))
    compare([replace(toy("bert"), method=each) for each in methods], out=tmp_path)
    assert len(passes) == 3  # train, validation, test


def test_below_a_table_stands_which_head_a_run_has_chosen(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), method=OPEN)
    results = [run(replace(recipe, seed=seed), out=tmp_path) for seed in (0, 1)]
    choice = results[0].choice
    assert choice is not None
    said = f"layer {choice['layer']} of {choice['layers'] - 1}, {choice['pooling']} pooling"
    chosen = [note for note in table(results).notes if "heads" in note]
    assert chosen[0].startswith(f"toy_bert frozen: {said}, penalty {choice['penalty']:g} chosen of {choice['probes']}")
    assert len(chosen) == len({repr(result.choice) for result in results})
    fixed = run(replace(toy("bert"), method=Frozen()), out=tmp_path)
    assert not any("heads" in note for note in table([fixed]).notes)
