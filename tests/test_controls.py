"""What is there to be beaten: each control does what it says, and a row that does not beat one is told so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from sklearn.feature_extraction.text import TfidfTransformer

from finetune import Frozen, InputError, LoRA, Recipe, Result, Split, grid, run
from finetune.cli import main
from finetune.controls import again, control, controls
from finetune.data import Data, Fetched, Rows, targets
from finetune.data.shuffled import Shuffled
from finetune.data.toy import ToyText
from finetune.items import Items
from finetune.methods.majority import Majority
from finetune.methods.surface import Linear, Surface, _rarity
from finetune.objective import Logistic
from finetune.outputs import read_lines
from finetune.progress import Silent
from finetune.report.groups import groups
from finetune.report.tables import table
from finetune.session import session
from finetune.system import System, unfit
from finetune.untrained import Untrained


def test_for_each_data_set_and_checkpoint_there_are_three_and_for_each_recipe_one_more(
    toy: Callable[[str], Recipe],
) -> None:
    recipes = [replace(toy("bert"), method=method) for method in (Frozen(), LoRA())]
    found = [(recipe.name, recipe.method_name) for recipe in controls(recipes)]
    assert found == [
        ("toy_bert", "majority"),
        ("toy_bert", "surface"),
        ("toy_bert+shuffled", "frozen"),
        ("toy_bert+untrained", "frozen"),
        ("toy_bert+untrained", "lora"),
    ]


def test_what_has_no_backbone_has_no_controls_of_its_own(
    toy: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = [replace(toy("bert"), method=method) for method in (Majority(), Surface(), Frozen(), LoRA())]
    assert controls(every) == controls(every[2:])
    assert [each.method_name for each in again(every)] == ["lora"]
    words = "controls are what a backbone is to beat, and majority, surface has none: name a method with one"
    with pytest.raises(InputError, match=words):
        controls(every[:2])
    for command in ("compare", "elsewhere"):
        called = [command, "bert_r8", "--methods", "majority,surface", "--controls", "--out", str(tmp_path / "out")]
        assert main(called) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_majoritys_score_is_its_share_of_the_test_rows(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), method=Majority())
    result = run(recipe, out=tmp_path)
    examples = session(recipe).examples()
    most = int(np.bincount(examples["train"].targets).argmax())
    assert result.scores["accuracy"].value == pytest.approx((examples["test"].targets == most).mean())
    assert result.folder is not None
    outputs = {line["output"] for line in read_lines(result.folder / "predictions.jsonl")}
    assert outputs == {most}


def test_the_surface_of_texts_is_scikit_learns_tf_idf_of_their_tokens(toy: Callable[[str], Recipe]) -> None:
    examples = session(replace(toy("bert"), method=Surface())).examples()["train"]
    weight_V = _rarity(examples)
    batch = examples.batch(np.arange(len(examples)))
    counts_NV = np.zeros((len(examples), len(weight_V)))
    for row, (ids_T, mask_T) in enumerate(zip(batch.inputs["input_ids"], batch.inputs["attention_mask"], strict=True)):
        np.add.at(counts_NV[row], ids_T[mask_T.bool()].numpy(), 1)
    expected_NV = TfidfTransformer().fit_transform(counts_NV).toarray()
    found_NV = Linear(weight_V, 2, texts=True).features(batch.inputs).numpy()
    np.testing.assert_allclose(found_NV, expected_NV, atol=1e-6)


def test_a_word_piece_that_no_training_row_has_changes_nothing(toy: Callable[[str], Recipe]) -> None:
    examples = session(replace(toy("bert"), method=Surface())).examples()["train"]
    module = Linear(_rarity(examples), 2, texts=True)
    inputs = dict(examples.batch(np.arange(2)).inputs)
    before = module.features(inputs)
    unknown = next(index for index in range(len(module.weight_V)) if not module.weight_V[index])
    inputs["input_ids"] = inputs["input_ids"].clone()
    inputs["input_ids"][0, 0] = len(module.weight_V) + 5
    beyond = module.features(inputs)
    inputs["input_ids"][0, 0] = unknown
    assert beyond.equal(module.features(inputs))
    assert before[1].equal(beyond[1])


def test_the_surface_of_toy_rows_is_enough_to_tell_them_apart(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    for family in ("bert", "vit"):
        result = run(replace(toy(family), method=Surface()), out=tmp_path)
        assert (result.status, result.broken) == ("done", ())
        assert result.scores["accuracy"].value > 0.9


def test_the_linear_model_of_a_surface_is_at_the_bottom_of_its_loss() -> None:
    """So that every machine comes to the same one."""
    rng, objective = np.random.default_rng(0), Logistic(3)
    x_NV, y_N = rng.normal(size=(200, 40)).astype(np.float32) - 1.4, rng.integers(3, size=200)
    weight_CV, bias_C, _ = objective.of_surface(x_NV, y_N, 10.0)
    logits_NC = x_NV @ weight_CV.T + bias_C
    shares_NC = np.exp(logits_NC - logits_NC.max(1, keepdims=True))
    off_NC = shares_NC / shares_NC.sum(1, keepdims=True) - np.eye(3)[y_N]
    slope_CV = (off_NC.T @ x_NV + weight_CV / 10.0) / len(x_NV)
    assert max(np.abs(slope_CV).max(), np.abs(off_NC.mean(0)).max()) < 2e-6


def test_a_surface_that_fits_without_end_is_refused() -> None:
    with pytest.raises(InputError, match=r"method.inverse_penalty must be above 0 and finite, got 0"):
        Surface(inverse_penalty=0.0)


def test_an_untrained_checkpoint_has_the_network_and_none_of_the_weights(toy: Callable[[str], Recipe]) -> None:
    learned = toy("bert").checkpoint
    first, second, other = (Untrained(of=learned, seed=seed).fetch(Silent()) for seed in (5, 5, 6))
    assert first == second
    assert first.sha256 != other.sha256
    assert first.settings == learned.fetch(Silent()).settings
    before = load_file(learned.fetch(Silent()).folder / "model.safetensors")
    drawn = load_file(first.folder / "model.safetensors")
    shared = {name for name in before.keys() & drawn.keys() if "weight" in name and before[name].ndim == 2}
    assert shared
    assert all(before[name].shape == drawn[name].shape for name in shared)
    assert not any(before[name].equal(drawn[name]) for name in shared)


def test_an_untrained_recipe_is_read_back_from_its_json(toy: Callable[[str], Recipe]) -> None:
    for recipe in controls([toy("bert")]):
        assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "vit", "dinov2"])
def test_an_untrained_checkpoint_of_every_kind_runs(toy: Callable[[str], Recipe], tmp_path: Path, family: str) -> None:
    recipe = toy(family)
    result = run(replace(recipe, checkpoint=Untrained(of=recipe.checkpoint), method=Frozen()), out=tmp_path)
    assert result.status == "done"


@dataclass(frozen=True, kw_only=True)
class Uncut(Data):
    """The toy texts, without a test set of their own."""

    def fetch(self, progress: Silent) -> Fetched:
        return ToyText(train=90).fetch(progress)

    def load(self, fetched: Fetched) -> Rows:
        return replace(ToyText(train=90).load(fetched), test=None)


@pytest.mark.parametrize("data", [ToyText(), Uncut()])
@pytest.mark.parametrize("split", [Split(), Split(train_rows=20, test_rows=10), Split(per_class=4)])
def test_shuffled_labels_are_the_same_ones_on_other_rows_and_test_rows_are_what_they_were(
    data: Data, split: Split, capfd: pytest.CaptureFixture[str]
) -> None:
    plain, dealt = (split.cut(each.load(each.fetch(Silent()))) for each in (data, Shuffled(of=data)))
    for name in ("train", "validation", "test"):
        assert plain[name]["text"][:] == dealt[name]["text"][:]
        assert np.array_equal(np.bincount(targets(plain[name])), np.bincount(targets(dealt[name])))
    assert not np.array_equal(targets(plain.train), targets(dealt.train))
    assert np.array_equal(targets(plain.test), targets(dealt.test))
    assert Shuffled(of=data).fetch(Silent()).sha256 != data.fetch(Silent()).sha256
    assert capfd.readouterr().err == ""  # no bars but ours


def test_test_rows_of_shuffled_labels_are_encoded_once_for_all_dealings(toy: Callable[[str], Recipe]) -> None:
    recipe = toy("bert")
    every = [recipe, *grid.seeds([control(recipe, "shuffled")], 2)]
    keys = [{part: each.key for part, each in session(own).examples().items()} for own in every]
    assert [len({own[part] for own in keys}) for part in ("train", "validation", "test")] == [3, 3, 1]


def test_each_seed_of_a_control_has_a_dealing_of_its_own_and_all_are_one_row_of_a_table(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy("bert"), method=Frozen())
    every = grid.seeds([control(recipe, "shuffled")], 2)
    first, second = (targets(session(each).splits().train) for each in every)
    assert not np.array_equal(first, second)
    assert np.array_equal(np.bincount(first), np.bincount(second))
    assert [each.data for each in grid.seeds([recipe], 2)] == [recipe.data] * 2
    (group,) = groups([run(each, out=tmp_path) for each in every])
    assert len(group.results) == 2
    assert not unfit(System(name="", runs=group.results))


@pytest.mark.usefixtures("own_cache")
def test_each_seed_of_a_control_has_random_weights_of_its_own_and_all_are_one_row_of_a_table(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy("bert"), method=Frozen())
    results = [run(each, out=tmp_path) for each in grid.seeds([control(recipe, "untrained")], 2)]
    assert len({result.weights["sha256"] for result in results}) == 2
    assert [each.checkpoint for each in grid.seeds([recipe], 2)] == [recipe.checkpoint] * 2
    (group,) = groups(results)
    assert not unfit(System(name="", runs=group.results))


def made(result: Result, right: float, **parts: str) -> list[Result]:
    """Two runs that are right on so many of 400 test rows, with parts of these kinds."""
    recipe = {**result.recipe, **{part: {"type": kind} for part, kind in parts.items()}}
    name = "+".join([result.recipe["name"], *parts.values()])
    right_N = np.arange(400) < right * 400
    items = Items.of([str(number) for number in range(400)], right_N)
    return [replace(result, recipe={**recipe, "name": name, "seed": seed}, items=items) for seed in range(2)]


def test_a_row_that_does_not_beat_a_control_and_labels_that_leak_are_told(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    result = run(toy("bert"), out=tmp_path)
    good, floor = made(result, 0.9), made(result, 0.5, method="Majority")
    surface = made(result, 0.8975, method="Surface")
    shuffled = made(result, 0.7, data="Shuffled")
    assert not any("control" in note for note in table([*good, *floor]).notes)
    notes = table([*good, *floor, *surface, *shuffled]).notes
    assert "toy_bert full is not shown to be better than a control: toy_bert+Surface full" in notes
    assert "toy_bert+Shuffled full is better than the majority's label: something gives its test rows away" in notes
    assert not any("undecided" in note or "equivalent" in note for note in notes)  # controls are not candidates
    split = {**result.recipe["split"], "per_class": 8}
    rare = [replace(run, recipe={**run.recipe, "split": split}) for run in made(result, 0.3, method="Majority")]
    lawful = made(result, 0.5, data="Shuffled")
    assert not any("gives" in note for note in table([*good, *rare, *lawful]).notes)  # of as many of each label is none
    assert not any("gives" in note for note in table([*good, *rare, *floor, *lawful]).notes)
    assert any("gives" in note for note in table([*good, *rare, *floor, *shuffled]).notes)
    more = [replace(each, rows={**each.rows, "train": 2 * each.rows["train"]}) for each in surface]
    assert not any("control" in note for note in table([*good, *more]).notes)  # no control of what had fewer rows


@pytest.mark.usefixtures("own_cache")
def test_compare_adds_the_controls_it_is_asked_for(
    tmp_path: Path, checkpoint: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.py"
    recipe.write_text(
        "from finetune import *\nfrom finetune.data.toy import ToyText\n"
        f"recipe = Recipe(name='mine', checkpoint=Local({str(checkpoint('bert'))!r}), data=ToyText(), "
        "task=Classification(), method=Frozen())\n"
    )
    assert main(["compare", str(recipe), "--methods", "frozen", "--controls", "--out", str(tmp_path / "out")]) == 0
    shown = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[2:7]]
    assert shown == [
        ["mine", "frozen"],
        ["mine", "majority"],
        ["mine", "surface"],
        ["mine+shuffled", "frozen"],
        ["mine+untrained", "frozen"],
    ]
