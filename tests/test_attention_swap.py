"""Ours in a pretrained model: runs, saves, loads, learns, and refuses what it does not know."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file
from transformers import AutoModel, DebertaV2Config, MPNetConfig, PretrainedConfig

from finetune import Frozen, Full, InputError, LoRA, Recipe, run
from finetune.attention.cores.scaled_dot_product import ScaledDotProduct
from finetune.attention.cores.sliding_window import SlidingWindow
from finetune.attention.cores.talking_heads import TalkingHeads
from finetune.attention.positions.sinusoidal import Sinusoidal
from finetune.attention.swap import FILE, MultiHead, named, names, swap, transplants
from finetune.methods import Method
from finetune.predict import load
from finetune.session import session


def body(family: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return AutoModel.from_config(copy.deepcopy(tiny.CONFIGS[family])).eval()


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_the_projections_move_over_under_their_names(family: str) -> None:
    stock = body(family)
    before = {name: parameter.data_ptr() for name, parameter in stock.named_parameters()}
    swap(stock, MultiHead())  # pyright: ignore
    assert {name: parameter.data_ptr() for name, parameter in stock.named_parameters()} == before
    assert len(transplants(stock)) == 2


@pytest.mark.parametrize("method", [Frozen(), LoRA(), Full()], ids=["frozen", "lora", "full"])
@pytest.mark.parametrize("family", tiny.PACKAGED_FAMILIES)
def test_every_method_comes_to_the_result_it_comes_to_with_the_checkpoints_own(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str, method: Method
) -> None:
    stock = replace(toy(family), method=method)
    swapped = replace(stock, attention=MultiHead())
    one, other = (run(recipe, out=tmp_path) for recipe in (stock, swapped))
    assert (one.attention, other.attention) == ("finetune_stock", "multihead")
    assert one.fingerprint != other.fingerprint
    assert other.scores["accuracy"].value == pytest.approx(one.scores["accuracy"].value, abs=0.07)


@pytest.mark.parametrize("method", [Frozen(), LoRA(), Full()], ids=["frozen", "lora", "full"])
def test_a_run_is_loaded_with_its_attention_and_says_the_same_again(
    toy: Callable[[str], Recipe], tmp_path: Path, method: Method
) -> None:
    recipe = replace(toy("llama"), method=method, attention=MultiHead(core=SlidingWindow(width=2)))
    result = run(recipe, out=tmp_path)
    folder = session(recipe).folder(tmp_path).path
    predictor = load(folder)
    assert predictor.recipe == recipe
    examples = session(recipe).examples()["test"]
    batch = examples.batch(torch.arange(len(examples)).numpy())
    with torch.no_grad():
        right = predictor.module(**batch.inputs).logits.argmax(-1) == batch.targets
    assert float(right.float().mean()) == pytest.approx(result.scores["accuracy"].value)


def test_what_a_core_learns_is_saved_and_loaded(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), attention=MultiHead(core=TalkingHeads()))
    run(recipe, out=tmp_path)
    folder = session(recipe).folder(tmp_path).path
    stored = load_file(folder / "model" / FILE)
    first = TalkingHeads().learned(32, 2, 16)
    assert any(not torch.equal(tensor, first[name.partition(".")[2]]) for name, tensor in stored.items())
    for layer, transplanted in enumerate(transplants(load(folder).module)):
        for name, tensor in transplanted.learned.items():
            assert torch.equal(tensor, stored[f"{layer}.{name}"])


def test_swapped_features_are_not_taken_for_stock_ones(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    stock = replace(toy("bert"), method=Frozen())
    one = run(stock, out=tmp_path)
    other = run(replace(stock, attention=named("uniform")), out=tmp_path)
    lines = [
        (session(recipe).folder(tmp_path).path / "predictions.jsonl").read_text()
        for recipe in (stock, replace(stock, attention=named("uniform")))
    ]
    assert lines[0] != lines[1]
    assert one.recipe["attention"] is None
    assert other.recipe["attention"]["core"]["type"] == "Uniform"


@pytest.mark.parametrize("kind", [MPNetConfig, DebertaV2Config])
def test_a_family_that_is_not_known_is_refused_by_name_and_left_as_it_was(kind: type[PretrainedConfig]) -> None:
    model = AutoModel.from_config(
        kind(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    ).eval()
    ids = torch.arange(6)[None] + 4
    before = model(input_ids=ids).last_hidden_state
    with pytest.raises(InputError, match=f"unknown architecture '{kind.model_type}'; .*known: bert, "):
        swap(model, MultiHead())
    assert torch.equal(model(input_ids=ids).last_hidden_state, before)


def test_a_stock_attention_left_in_a_swapped_model_says_so() -> None:
    model = body("bert")
    model.set_attn_implementation("finetune")  # pyright: ignore
    with pytest.raises(InputError, match="BertSelfAttention was not swapped"):
        model(input_ids=torch.ones(1, 4, dtype=torch.long))


def test_a_core_of_ones_own_is_called_by_its_class() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Sharp(ScaledDotProduct):
        power: float = 2.0

    assert MultiHead(core=Sharp()).name == "Sharp"
    assert MultiHead(core=SlidingWindow()).name == "sliding_window"


def test_a_model_is_swapped_once() -> None:
    model = swap(body("bert"), MultiHead())  # pyright: ignore
    with pytest.raises(InputError, match="swapped already"):
        swap(model, MultiHead())


def test_an_unknown_attention_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown attention 'slidingwindow'; did you mean 'sliding_window'"):
        named("slidingwindow")
    assert named("stock") is None
    assert {named(name).name for name in names() if name != "stock"} == {*names()} - {"stock"}  # pyright: ignore


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (torch.ones(1, 1, 1, 4) * 0.5, "holds 0 and the lowest number there is, nothing between"),
        (torch.ones(1, 4, 4), r"2 dimensions, or 4 if it is finished; got \(1, 4, 4\)"),
    ],
)
def test_a_mask_that_cannot_be_one_is_refused(mask: torch.Tensor, words: str) -> None:
    module = transplants(swap(body("bert"), MultiHead()))[0]  # pyright: ignore
    with pytest.raises(InputError, match=words):
        module(torch.randn(1, 4, 32), mask)


@pytest.mark.parametrize("finished", [torch.float32, torch.bool])
def test_a_finished_mask_of_the_users_is_obeyed(finished: torch.dtype) -> None:
    stock, ours = body("llama"), swap(body("llama"), MultiHead())  # pyright: ignore
    allowed = torch.ones(1, 1, 6, 6, dtype=torch.bool).tril() & (torch.arange(6) != 2)
    lowest = torch.finfo(torch.float32).min
    given = allowed if finished is torch.bool else torch.zeros(1, 1, 6, 6).masked_fill(~allowed, lowest)
    ids = torch.arange(6)[None] + 4
    one, other = (model(input_ids=ids, attention_mask=given).last_hidden_state for model in (stock, ours))
    assert (one - other).abs().max() < 1e-5


@dataclass(frozen=True, kw_only=True)
class Mine(ScaledDotProduct):
    """A core in somebody's own recipe file."""


def test_a_core_of_ones_own_runs_and_is_loaded_with_the_recipe(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("bert"), method=Frozen(), attention=MultiHead(core=Mine()))
    run(recipe, out=tmp_path)
    folder = session(recipe).folder(tmp_path).path
    with pytest.raises(InputError, match="unknown kind of core 'Mine'.*code of yours needs its recipe: load"):
        load(folder)
    assert load(folder, recipe=recipe).recipe == recipe
    with pytest.raises(InputError, match="was run with another recipe than the one given"):
        load(folder, recipe=replace(recipe, seed=1))


def test_models_made_from_one_config_are_swapped_one_by_one() -> None:
    config = copy.deepcopy(tiny.CONFIGS["llama"])
    one, other = (AutoModel.from_config(config).eval() for _ in range(2))
    assert one.config is other.config
    ids = torch.arange(6)[None] + 4
    before = other(input_ids=ids).last_hidden_state
    swap(one, MultiHead())
    assert torch.equal(other(input_ids=ids).last_hidden_state, before)
    swap(other, MultiHead())
    assert (other(input_ids=ids).last_hidden_state - before).abs().max() < 1e-5


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama"])
def test_positions_are_added_for_queries_and_keys_and_never_for_values(family: str) -> None:
    x_BTE = torch.randn(2, 5, 32)
    plain, placed = (
        transplants(swap(body(family), MultiHead(core=ScaledDotProduct(position=position))))[0].project(x_BTE, 0)  # pyright: ignore
        for position in (None, Sinusoidal())
    )
    assert [torch.equal(*each) for each in zip(plain, placed, strict=True)] == [False, False, True]
