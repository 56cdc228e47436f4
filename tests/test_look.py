"""What is said to be looked at is looked at: before fine-tuning, and after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import tiny
import torch
from transformers import AutoModel, PreTrainedModel

from finetune import Frozen, Full, InputError, Local, LoRA, MultiHead, Recipe, run
from finetune.anatomy import ANATOMY, backbone
from finetune.attention.cores import Core
from finetune.attention.similarity import cosines
from finetune.attention.swap import named
from finetune.look import Look, changes, finished, look, opened, positions, untrained
from finetune.methods import Method
from finetune.predict import load
from finetune.seen import Seen, see
from finetune.session import session


def stock(folder: str | Path) -> PreTrainedModel:
    return AutoModel.from_pretrained(folder, attn_implementation="eager").eval()


def agree(found: Look, model: PreTrainedModel) -> bool:
    """Whether these are the weights that transformers shows."""
    with torch.no_grad():
        wanted = model(**found.seen.inputs, output_attentions=True).attentions
    return len(wanted) == len(found.maps_LHTT) and all(
        bool((ours - theirs[0]).abs().max() < 1e-5) for ours, theirs in zip(found.maps_LHTT, wanted, strict=True)
    )


def ran(recipe: Recipe, out: Path) -> Path:
    run(recipe, out=out)
    return session(recipe).folder(out).path


def both(recipe: Recipe, folder: Path) -> tuple[Look, Look]:
    here = opened(recipe)
    seen = see(here, None)
    before, after = (look(model, seen) for model in finished(here, folder))
    return before, after


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_a_look_is_what_transformers_shows(toy: Callable[[str], Recipe], family: str) -> None:
    recipe = toy(family)
    here = opened(recipe)
    assert isinstance(recipe.checkpoint, Local)
    assert agree(look(untrained(here, here.splits().labels), see(here, None)), stock(recipe.checkpoint.folder))


@pytest.mark.parametrize("family", ["bert", "dinov2"])
def test_after_full_fine_tuning_it_is_what_transformers_shows_of_the_saved_model(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str
) -> None:
    recipe = toy(family)
    folder = ran(recipe, tmp_path)
    before, after = both(recipe, folder)
    assert isinstance(recipe.checkpoint, Local)
    assert agree(before, stock(recipe.checkpoint.folder))
    assert agree(after, stock(folder / "model"))
    assert not agree(after, stock(recipe.checkpoint.folder))


def test_after_lora_it_is_what_transformers_shows_of_the_merged_model(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy("llama"), method=LoRA())
    folder = ran(recipe, tmp_path)
    before, after = both(recipe, folder)
    merged = load(folder).module.merge_and_unload()  # pyright: ignore
    merged.set_attn_implementation("eager")
    assert agree(after, backbone(merged))
    assert any(share > 0 for _, share, *_ in changes(before, after, None))


def test_a_frozen_backbone_looks_as_it_did(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), method=Frozen())
    before, after = both(recipe, ran(recipe, tmp_path))
    assert all(torch.equal(one, other) for one, other in zip(before.maps_LHTT, after.maps_LHTT, strict=True))


@pytest.mark.parametrize("method", [Frozen(), LoRA(), Full()], ids=["frozen", "lora", "full"])
def test_a_run_with_another_attention_is_shown_with_it_before_and_after(
    toy: Callable[[str], Recipe], tmp_path: Path, method: Method
) -> None:
    recipe = replace(toy("bert"), method=method, attention=named("uniform"))
    for found in both(toy("bert"), ran(recipe, tmp_path)):
        assert (found.maps_LHTT[0] == found.maps_LHTT[0][0, 0, 0]).all()


def test_a_run_of_another_checkpoint_is_refused(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    folder = ran(replace(toy("bert"), method=Frozen()), tmp_path)
    with pytest.raises(InputError, match=r"is a run of Local\(folder='.*bert'\), and toy_electra is about Local\("):
        finished(opened(toy("electra")), folder)


def test_what_diverged_shows_no_weights(toy: Callable[[str], Recipe]) -> None:
    here = opened(toy("bert"))
    model = untrained(here, here.splits().labels)
    next(model.parameters()).data.fill_(torch.nan)
    with pytest.raises(InputError, match="not numbers: did the run diverge"):
        look(model, see(here, None))


@dataclass(frozen=True, kw_only=True)
class Weightless(Core):
    """The values as they are."""

    def attend(self, q_BHTD, k_BKSD, v_BKSD, *_):  # pyright: ignore
        return v_BKSD, None


def test_an_attention_that_mixes_nothing_by_weight_has_nothing_to_show(toy: Callable[[str], Recipe]) -> None:
    here = opened(replace(toy("bert"), attention=MultiHead(core=Weightless())))
    with pytest.raises(InputError, match="Weightless has no weights to show"):
        look(untrained(here, here.splits().labels), see(here, None))


def test_a_layer_is_its_number_from_1_and_by_default_the_last(toy: Callable[[str], Recipe]) -> None:
    here = opened(toy("bert"))
    found = look(untrained(here, here.splits().labels), see(here, None))
    assert found.layer(None) == found.layer("2") == 2
    assert found.layer("all") is None
    assert torch.equal(found.heads(1)["head 2"], found.maps_LHTT[0][1])
    assert torch.equal(found.heads(None)["layer 2"], found.maps_LHTT[1].mean(0))
    assert [name for name, *_ in found.facts(1)] == ["head 1", "head 2"]
    for wanted in ("0", "3", "last"):
        with pytest.raises(
            InputError, match=f"--layer must be in 1 … 2, as many as the model has, or all; got '{wanted}'"
        ):
            found.layer(wanted)


def test_the_head_that_changed_most_comes_first(toy: Callable[[str], Recipe]) -> None:
    seen: Seen = see(opened(toy("bert")), "cat dog")
    one = torch.full((1, 4, 4), 0.25).repeat(2, 1, 1)
    other = one.clone()
    other[1, 1] = torch.tensor([0.0, 0.25, 0.75, 0.0])  # of four queries one has moved half of its weight
    before, after = (Look(seen=seen, maps_LHTT=[each], rollout_TT=each[0]) for each in (one, other))
    (name, moved, mean, most), (last, *nothing) = changes(before, after, 1)
    assert (name, moved, mean, most) == ("head 2", pytest.approx(0.125), pytest.approx(1 / 16), "cat → dog +0.50")
    assert (last, nothing[:2]) == ("head 1", [0.0, 0.0])


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_every_family_shows_its_positions(toy: Callable[[str], Recipe], family: str) -> None:
    found = positions(opened(toy(family)))
    count = 16 if family in tiny.IMAGE_FAMILIES else 65 if family == "roberta" else 64
    assert found.own_NN.shape == found.waves_NN.shape == found.apart.shape == (count, count)
    own = 0 if family == "deit" else 1  # a DeiT begins with positions that are zeros
    assert (found.own_NN.diagonal() - own).abs().max() < 1e-5
    assert found.kind == ("rotary" if ANATOMY[family].positions == "rotary_emb" else "learned")


def test_learned_positions_are_the_rows_that_the_model_reads(toy: Callable[[str], Recipe]) -> None:
    for family, first in (("bert", 0), ("roberta", 1)):
        recipe = toy(family)
        assert isinstance(recipe.checkpoint, Local)
        table = stock(recipe.checkpoint.folder).get_submodule("embeddings.position_embeddings").weight
        assert isinstance(table, torch.Tensor)
        assert torch.equal(positions(opened(recipe)).own_NN, cosines(table[first:]))


def test_rotary_positions_are_turned_by_the_models_own_angles(toy: Callable[[str], Recipe]) -> None:
    recipe = toy("llama")
    assert isinstance(recipe.checkpoint, Local)
    steps = stock(recipe.checkpoint.folder).get_submodule("rotary_emb").inv_freq
    assert isinstance(steps, torch.Tensor)
    found = positions(opened(recipe)).own_NN
    for distance in (0, 1, 5, 40):
        assert float(found[40, 40 - distance]) == pytest.approx(float((distance * steps).cos().mean()), abs=1e-6)
