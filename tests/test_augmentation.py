"""What is drawn of an example is known by seed, epoch and id alone, and of everything but training nothing is drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interrupted import left_when_killed_after
from safetensors.torch import load_file
from torch import Tensor

from finetune import AdamW, Budget, Frozen, Full, InputError, LoRA, Recipe, augmentations, axes, compare, encode, run
from finetune.augmentations import Augmentation, Tokens, generator
from finetune.augmentations.both import Both
from finetune.augmentations.drop_tokens import DropTokens
from finetune.augmentations.erase import Erase
from finetune.augmentations.flip import Flip
from finetune.augmentations.shift import Shift
from finetune.catalog import load
from finetune.controls import controls
from finetune.encode import Examples, Subset
from finetune.loading import load_tokenizer
from finetune.methods.as_is import AsIs
from finetune.methods.majority import Majority
from finetune.methods.stock_head import StockHead
from finetune.methods.surface import Surface
from finetune.plan import plan
from finetune.session import session

EVERY = [Shift(), Flip(), Erase(), DropTokens(), Both(first=Shift(), second=Erase())]
NOTHING = [Shift(pixels=0), Flip(probability=0), Erase(probability=0), DropTokens(probability=0)]
TOKENS = Tokens(special=torch.tensor([0, 2, 3]), hidden=1)


def example(augmentation: Augmentation) -> tuple[Tensor, Tokens | None]:
    """An image that is higher than wide, no pixel of which is 0 or like another; or a text."""
    if augmentation.reads == "image":
        return torch.arange(1, 3 * 8 * 6 + 1).float().view(3, 8, 6), None
    return torch.tensor([2, 10, 11, 0, 12, 13, 14, 15, 3]), TOKENS


def drawn(augmentation: Augmentation, number: int) -> Tensor:
    given, tokens = example(augmentation)
    return augmentation.drawn(given, generator(0, number, "x"), tokens)


def examples(recipe: Recipe) -> Examples:
    return session(recipe).material().examples["train"]


def inputs(recipe: Recipe, epoch: int = 1) -> dict[str, Tensor]:
    """What a model reads of all training rows in an epoch, and the targets."""
    found = examples(recipe).drawn(recipe.seed, epoch)
    batch = found.batch(np.arange(len(found)))
    return {**batch.inputs, "targets": batch.targets}


def weights(recipe: Recipe, out: Path) -> dict[str, Tensor]:
    folder = run(recipe, out=out).folder
    assert folder is not None
    return load_file(next(folder.rglob("*model.safetensors")))


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def test_the_random_numbers_of_an_example_in_an_epoch_are_these_for_ever() -> None:
    # other ones here: every recipe with an augmentation comes to other numbers, and recipe.FORMAT must count up
    assert generator(0, 1, "row-0000").integers(10**6, size=4).tolist() == [148510, 531489, 876204, 165599]
    assert generator(7, 20, "나는").integers(10**6, size=4).tolist() == [415067, 351027, 621073, 436110]


def test_no_example_in_any_epoch_of_any_seed_has_the_random_numbers_of_another() -> None:
    keys = [(seed, epoch, f"{id_}") for seed in range(3) for epoch in range(1, 13) for id_ in range(111)]
    assert len({int(generator(*key).integers(2**63)) for key in keys}) == len(keys)


def test_there_is_a_test_for_every_augmentation() -> None:
    assert {type(each) for each in EVERY} == set(axes.every(augmentations, Augmentation))


@pytest.mark.parametrize("augmentation", EVERY, ids=lambda each: type(each).__name__)
def test_what_is_drawn_has_the_form_of_what_it_was_drawn_from_which_stays(augmentation: Augmentation) -> None:
    given, tokens = example(augmentation)
    before, others = given.clone(), 0
    for number in range(50):
        found = augmentation.drawn(given, generator(0, number, "x"), tokens)
        assert (found.shape, found.dtype) == (before.shape, before.dtype)
        assert torch.equal(given, before)
        assert torch.equal(found, augmentation.drawn(given, generator(0, number, "x"), tokens))
        others += not torch.equal(found, before)
    assert others > 10


@pytest.mark.parametrize("augmentation", NOTHING, ids=lambda each: type(each).__name__)
def test_an_augmentation_of_nothing_changes_nothing(augmentation: Augmentation) -> None:
    for number in range(20):
        assert torch.equal(drawn(augmentation, number), example(augmentation)[0])


def test_a_shift_is_one_of_all_those_that_are_so_far_and_repeats_the_edge() -> None:
    given = example(Shift())[0]
    places = {}
    for down, right in np.ndindex(5, 5):
        rows_H = (torch.arange(8) - (down - 2)).clamp(0, 7)
        columns_W = (torch.arange(6) - (right - 2)).clamp(0, 5)
        places[down, right] = given[:, rows_H][:, :, columns_W]
    seen = set()
    for number in range(500):
        found = drawn(Shift(pixels=2), number)
        seen |= {place for place, each in places.items() if torch.equal(found, each)}
        assert any(torch.equal(found, each) for each in places.values())
    assert seen == set(places)


def test_a_flip_is_the_mirror_image_about_as_often_as_it_is_to_be() -> None:
    given = example(Flip())[0]
    found = [drawn(Flip(probability=0.25), number) for number in range(400)]
    mirrored = [torch.equal(each, given.flip(2)) for each in found]
    assert all(torch.equal(each, given) for each, is_it in zip(found, mirrored, strict=True) if not is_it)
    assert 60 < sum(mirrored) < 140  # 100, and 4.6 standard deviations


def test_what_is_erased_is_a_rectangle_of_an_area_within_the_limits() -> None:
    given = torch.ones(3, 40, 30)
    shares = []
    for number in range(200):
        found = Erase(probability=1.0, areas=(0.1, 0.3)).drawn(given, generator(0, number, "x"), None)
        hole_HW = (found == 0).all(dim=0)
        assert torch.equal(hole_HW, (found == 0).any(dim=0))
        rows, columns = hole_HW.any(dim=1).nonzero().flatten(), hole_HW.any(dim=0).nonzero().flatten()
        assert bool(hole_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all())
        shares.append(float(hole_HW.float().mean()))
    assert min(shares) < 0.13
    assert max(shares) > 0.27
    assert all(0.08 < share < 0.33 for share in shares)  # sides are whole pixels


def test_of_an_image_that_no_rectangle_fits_into_nothing_is_erased() -> None:
    given = torch.ones(3, 1, 500)
    erase = Erase(probability=1.0, areas=(0.5, 0.5))
    assert torch.equal(erase.drawn(given, generator(0, 1, "x"), None), given)


def test_tokens_are_dropped_as_often_as_they_are_to_be_and_special_ones_never() -> None:
    given = torch.tensor([2, 3] + [10] * 9998)
    found = DropTokens(probability=0.2).drawn(given, generator(0, 1, "x"), TOKENS)
    assert found[:2].tolist() == [2, 3]
    assert set(found[2:].tolist()) == {1, 10}
    assert int((found == 1).sum()) == pytest.approx(2000, abs=200)


def test_of_texts_every_word_and_nothing_else_is_dropped(toy: Callable[[str], Recipe]) -> None:
    before = inputs(toy("bert"))
    after = inputs(replace(toy("bert"), augmentation=DropTokens(probability=1.0)))
    ids_NT, changed_NT = before.pop("input_ids"), after.pop("input_ids")
    assert int((ids_NT == 0).sum()) > 100, "there is padding"
    words_NT = ids_NT > 3  # before them [PAD], [UNK], [CLS] and [SEP]
    assert bool((changed_NT[words_NT] == 1).all())
    assert torch.equal(changed_NT[~words_NT], ids_NT[~words_NT])
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_where_a_tokenizer_has_a_mask_it_stands_for_what_is_dropped() -> None:
    class Known:
        all_special_ids = (0, 1, 2)
        special_tokens_map: dict[str, str]

        def convert_tokens_to_ids(self, token: str) -> int:
            return {"<pad>": 0, "<unk>": 1, "<mask>": 2, "<end>": 0}[token]

    known = Known()
    known.special_tokens_map = {"unk_token": "<unk>", "mask_token": "<mask>", "pad_token": "<pad>"}
    assert Tokens.of(known).hidden == 2
    known.special_tokens_map = {"unk_token": "<unk>", "pad_token": "<pad>"}
    assert Tokens.of(known).hidden == 1
    known.special_tokens_map = {"unk_token": "<end>", "eos_token": "<end>", "pad_token": "<end>"}
    with pytest.raises(InputError, match="a mask or an unknown token of its own, and this has neither"):
        Tokens.of(known)


@pytest.mark.parametrize("family", ["marian", "gpt2"])
def test_of_sources_with_targets_only_words_of_the_source_are_dropped(
    toy_pairs: Callable[[str], Recipe], family: str
) -> None:
    recipe = toy_pairs(family)
    before = inputs(recipe)
    after = inputs(replace(recipe, augmentation=DropTokens(probability=1.0)))
    ids_NT, changed_NT = before.pop("input_ids"), after.pop("input_ids")
    assert all(torch.equal(before[name], after[name]) for name in before)
    tokens = Tokens.of(load_tokenizer(session(recipe).weights))
    apart_NT = ids_NT != changed_NT
    assert bool((changed_NT[apart_NT] == tokens.hidden).all())
    untouched_N = ids_NT.shape[1] - apart_NT.sum(dim=1)
    assert int(apart_NT.sum(dim=1).min()) >= 2, "sources have two words and more"
    if family == "gpt2":  # where a text goes on: what asks for the summary, and the summary
        start = int(before["logits_to_keep"][0])
        assert not bool(apart_NT[:, start:].any())
        assert int(untouched_N.min()) > ids_NT.shape[1] - start


@pytest.mark.parametrize(("family", "augmentation"), [("vit", Shift()), ("bert", DropTokens(probability=0.5))])
def test_an_example_is_drawn_alike_in_whatever_batch_it_is_and_otherwise_in_the_next_epoch(
    toy: Callable[[str], Recipe], family: str, augmentation: Augmentation
) -> None:
    found = examples(replace(toy(family), augmentation=augmentation))
    name = "pixel_values" if family == "vit" else "input_ids"

    def read(examples: Examples, *indices: int) -> Tensor:
        return examples.batch(np.array(indices)).inputs[name][-1, ..., : int(found.lengths[indices[-1]])]

    first, again, second = found.drawn(0, 1), found.drawn(0, 1), found.drawn(0, 2)
    assert torch.equal(read(first, 5), read(again, 40, 3, 9, 5))
    assert torch.equal(read(first, 5), read(Subset(found, np.array([2, 5])).drawn(0, 1), 1))
    assert any(not torch.equal(read(first, number), read(second, number)) for number in range(5))
    assert any(not torch.equal(read(first, number), read(found.drawn(1, 1), number)) for number in range(5))


def test_only_training_rows_are_drawn_and_only_for_an_epoch(toy: Callable[[str], Recipe]) -> None:
    plain, here = session(toy("vit")).examples(), session(replace(toy("vit"), augmentation=Shift()))
    found = here.material().examples
    assert found["test"] is here.examples()["test"]
    assert found["validation"] is here.examples()["validation"]
    every = np.arange(len(found["train"]))
    assert torch.equal(
        found["train"].batch(every).inputs["pixel_values"], plain["train"].batch(every).inputs["pixel_values"]
    )
    assert list(found["train"].ids) == list(plain["train"].ids)


def test_a_run_draws_every_training_row_once_in_every_epoch_by_its_seed_and_no_other_row(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(toy("bert"), augmentation=DropTokens(), seed=5, budget=Budget(epochs=3, batch_size=16, patience=9))
    asked: list[tuple[int, int, str]] = []

    def noted(seed: int, epoch: int, id_: str) -> np.random.Generator:
        asked.append((seed, epoch, id_))
        return generator(seed, epoch, id_)

    monkeypatch.setattr(encode, "generator", noted)
    run(recipe, out=tmp_path)
    ids = session(recipe).examples()["train"].ids
    assert sorted(asked) == sorted((5, epoch, id_) for epoch in (1, 2, 3) for id_ in ids)


@pytest.mark.parametrize(("family", "augmentation"), [("vit", Shift()), ("bert", DropTokens(probability=0.3))])
def test_a_run_that_is_stopped_again_and_again_ends_with_the_same_bytes(
    toy: Callable[[str], Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    augmentation: Augmentation,
) -> None:
    recipe = replace(
        toy(family), augmentation=augmentation, budget=Budget(epochs=3, batch_size=16, micro_batch=6, snapshot_every=1)
    )
    per_epoch = run(recipe, out=tmp_path / "whole").updates // 3
    steps = 1, per_epoch - 1, per_epoch, per_epoch + 1, 3 * per_epoch - 1
    stopped, whole = left_when_killed_after(steps, recipe, tmp_path, monkeypatch)
    assert stopped == whole


@pytest.mark.parametrize(("family", "augmentation"), [("vit", Shift()), ("bert", DropTokens(probability=0.5))])
def test_pieces_of_a_batch_learn_what_it_learns_whole_and_without_augmentation_something_else_is_learned(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str, augmentation: Augmentation
) -> None:
    plain = replace(toy(family), method=LoRA(optim=AdamW(learning_rate=1e-3)))
    recipe = replace(plain, augmentation=augmentation)
    whole = weights(recipe, tmp_path / "whole")
    for micro in (1, 3):
        pieces = replace(recipe, budget=replace(recipe.budget, micro_batch=micro))
        assert apart(whole, weights(pieces, tmp_path / f"{micro}")) <= 1e-6
    assert apart(whole, weights(plain, tmp_path / "plain")) > 1e-5


def test_the_row_of_what_stands_for_dropped_tokens_is_trained(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    table = "bert.embeddings.word_embeddings.weight"
    plain = weights(toy("bert"), tmp_path)
    dropping = weights(replace(toy("bert"), augmentation=DropTokens(probability=0.5)), tmp_path)
    start = load_file(session(toy("bert")).weights.folder / "model.safetensors")[table.removeprefix("bert.")]
    unknown = 1
    assert torch.equal(plain[table][unknown], start[unknown]), "no training row has an unknown word"
    assert not torch.equal(dropping[table][unknown], start[unknown])


def test_a_plan_counts_and_measures_what_a_run_does(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("vit"), augmentation=Shift(), budget=Budget(epochs=2, batch_size=8))
    asked = []

    class Noted(Shift):
        def drawn(self, example: Tensor, random: np.random.Generator, tokens: Tokens | None) -> Tensor:
            asked.append(1)
            return super().drawn(example, random, tokens)

    assert plan(replace(recipe, augmentation=Noted())).updates == run(recipe, out=tmp_path).updates
    assert asked


@pytest.mark.parametrize(
    ("family", "augmentation", "words"),
    [
        ("bert", Shift(), r"augmentation Shift changes images, and checkpoint \S+ reads texts; leave it none"),
        ("vit", DropTokens(), r"augmentation DropTokens changes texts, and checkpoint \S+ reads images; leave it none"),
    ],
)
def test_an_augmentation_of_what_is_not_read_is_refused(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str, augmentation: Augmentation, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        run(replace(toy(family), augmentation=augmentation), out=tmp_path)
    assert not list(tmp_path.glob("toy_*"))


@pytest.mark.parametrize("method", [Frozen(), StockHead(), Majority(), Surface(), AsIs()])
def test_a_method_that_reads_each_example_once_refuses_and_is_named(
    toy: Callable[[str], Recipe], tmp_path: Path, method: Any
) -> None:
    recipe = replace(toy("vit"), augmentation=Shift(), method=method)
    words = (
        f"augmentation Shift draws every example anew in each epoch, and {recipe.method_name} reads each once; leave"
    )
    for refuses in (lambda: run(recipe, out=tmp_path), lambda: plan(recipe)):
        with pytest.raises(InputError, match=words):
            refuses()
    assert not list(tmp_path.glob("toy_*"))


def test_in_a_comparison_the_method_that_refuses_stops_no_other_and_runs_where_its_own_variant_has_none(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    full = replace(toy("vit"), augmentation=Shift(), method=Full())
    found = compare([replace(full, method=Frozen()), full], out=tmp_path)
    assert [result.method for result in found.results] == ["full"]
    assert ["frozen reads each once" in failure.reason for failure in found.failures] == [True]
    found = compare([replace(full, method=Frozen(), augmentation=None), full], out=tmp_path)
    assert [result.method for result in found.results] == ["frozen", "full"]
    assert "trained without the augmentation that others of toy_vit have: toy_vit frozen" in found.table().notes


def test_controls_that_read_each_example_once_leave_the_augmentation_away(toy: Callable[[str], Recipe]) -> None:
    plain = toy("vit")
    drawn = {each.name: each.augmentation for each in controls([replace(plain, augmentation=Shift())])}
    assert drawn == {"toy_vit": None, "toy_vit+shuffled": Shift(), "toy_vit+untrained": Shift()}
    alike = [each for each in controls([plain, replace(plain, augmentation=Shift())]) if each.method == Majority()]
    assert len(alike) == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Shift(pixels=-1), "augmentation.pixels must be at least 0, got -1"),
        (lambda: Flip(probability=1.5), "augmentation.probability must be in [0, 1], got 1.5"),
        (lambda: DropTokens(probability=-0.1), "augmentation.probability must be in [0, 1], got -0.1"),
        (
            lambda: Erase(areas=(0.4, 0.2)),
            "augmentation.areas must be two shares in (0, 1], the least first, got 0.4, 0.2",
        ),
        (lambda: Erase(flattest=0.0), "augmentation.flattest must be in (0, 1], got 0.0"),
        (
            lambda: Both(first=Shift(), second=DropTokens()),
            "augmentation.second must change images, as augmentation.first does, got DropTokens, which changes texts",
        ),
    ],
)
def test_a_field_that_cannot_be_says_what_it_must_be(make: Callable[[], Augmentation], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        make()


def test_both_draws_the_second_of_what_the_first_has_drawn() -> None:
    random = generator(0, 3, "x")
    given = example(Shift())[0]
    expected = Flip().drawn(Shift().drawn(given, random, None), random, None)
    assert torch.equal(drawn(Both(first=Shift(), second=Flip()), 3), expected)


def test_a_recipe_says_its_augmentation_and_every_field_of_it_is_within_reach(toy: Callable[[str], Recipe]) -> None:
    recipe = replace(toy("vit"), augmentation=Both(first=Shift(), second=Both(first=Erase(), second=Flip())))
    assert Recipe.from_json(recipe.to_json()) == recipe
    changed = recipe.override(["augmentation.first.pixels=3", "augmentation.second.first.areas=0.1,0.2"])
    assert changed.augmentation == Both(
        first=Shift(pixels=3), second=Both(first=Erase(areas=(0.1, 0.2)), second=Flip())
    )
    assert recipe.override(["augmentation=none"]) == toy("vit")
    with pytest.raises(InputError, match="augmentation.pixels: augmentation is none and has no field 'pixels'"):
        toy("vit").override(["augmentation.pixels=3"])


def test_another_augmentation_is_another_fingerprint_and_none_is_that_of_before(toy: Callable[[str], Recipe]) -> None:
    recipes = [toy("vit"), *(replace(toy("vit"), augmentation=each) for each in (Shift(), Shift(pixels=1), Flip()))]
    assert len({recipe.fingerprint("w", "d", "float32") for recipe in recipes}) == len(recipes)
    before = {name: value for name, value in toy("vit").to_json().items() if name != "augmentation"}
    assert Recipe.from_json(before) == toy("vit")


def test_the_shipped_recipe_shifts_its_digits() -> None:
    assert load("vit_scratch").recipe.override(["augmentation.pixels=3"]).augmentation == Shift(pixels=3)
