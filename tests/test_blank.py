"""From nothing to a result: blank checkpoints go the way that pretrained ones go, by every method."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from finetune import (
    AdamW,
    Blank,
    Budget,
    Classification,
    Frozen,
    Full,
    InputError,
    LastLayers,
    LoRA,
    MultiHead,
    Recipe,
    Recurrent,
    Scratch,
    Split,
    TextEncoder,
    Transformer,
    ViT,
    run,
)
from finetune.attention.cores.sliding_window import SlidingWindow
from finetune.attention.cores.uniform import Uniform
from finetune.attention.positions.learned import LearnedPositions
from finetune.attention.positions.t5_bias import T5Bias
from finetune.blank import _texts
from finetune.data.toy import ToyImages, ToyText
from finetune.loading import load_config, load_model, load_tokenizer
from finetune.look import look, opened, untrained
from finetune.methods import Method
from finetune.predict import load
from finetune.progress import Silent
from finetune.seen import see
from finetune.session import session
from finetune.transformer.norms.batch import BatchNorm
from finetune.transformer.tokenizers import SPACE
from finetune.transformer.tokenizers.words import Words
from finetune.untrained import Untrained

SMALL = {"width": 32, "heads": 2, "layers": 2, "inner": 64}
FAST = AdamW(learning_rate=3e-3)
pytestmark = pytest.mark.usefixtures("own_cache")


def texts(system: Any = None, **fields: Any) -> Blank:
    return Blank(system=system or TextEncoder(**SMALL), tokenizer=Words(), texts=ToyText(train=120), **fields)


def images() -> Blank:
    return Blank(system=ViT(**SMALL, image_size=16, patch_size=4, positions=LearnedPositions(length=17)))


def recipe(checkpoint: Blank, method: Method) -> Recipe:
    return Recipe(
        name="blank",
        checkpoint=checkpoint,
        data=ToyText(train=120) if checkpoint.system.reads == "text" else ToyImages(train=120),
        task=Classification(),
        method=method,
        budget=Budget(epochs=6, batch_size=16),
        precision="float32",
    )


@pytest.mark.parametrize(
    ("system", "method"),
    [
        (TextEncoder(**SMALL), Scratch(optim=FAST)),
        (TextEncoder(**SMALL, pooling="cls", order="post", positions=T5Bias()), Scratch(optim=FAST)),
        (TextEncoder(**SMALL, norm=BatchNorm()), Scratch(optim=FAST)),
        (TextEncoder(**SMALL, core=Uniform()), Scratch(optim=FAST)),  # which leaves queries and keys as they were
        (TextEncoder(**SMALL), Full(optim=FAST)),
        (TextEncoder(**SMALL), LoRA(optim=FAST)),
        (TextEncoder(**SMALL), LastLayers(layers=1, optim=FAST)),
        (TextEncoder(**SMALL), Frozen()),
    ],
    ids=lambda part: type(part).__name__,
)
def test_texts_are_learned_from_nothing(system: TextEncoder, method: Method, tmp_path: Path) -> None:
    asked = recipe(texts(system), method)
    result = run(asked, out=tmp_path)
    assert (result.status, result.broken) == ("done", ())
    assert result.scores["accuracy"].value > 0.6  # of three classes
    assert load(session(asked).folder(tmp_path).path)(["cat dog horse sheep cat"])[0].label == "animal"


@pytest.mark.parametrize("method", [Scratch(optim=FAST), Frozen()], ids=lambda method: type(method).__name__)
def test_images_are_learned_from_nothing(method: Method, tmp_path: Path) -> None:
    result = run(recipe(images(), method), out=tmp_path)
    assert (result.status, result.broken) == ("done", ())
    assert result.scores["accuracy"].value > 0.9


@pytest.mark.parametrize("blank", [texts, images])
def test_bfloat16_does_not_break_it(blank: Any, tmp_path: Path) -> None:
    asked = replace(recipe(blank(), Scratch(optim=FAST)), precision="bfloat16", budget=Budget(epochs=1))
    assert run(asked, out=tmp_path).status == "done"


def test_it_is_written_once_and_its_content_is_what_it_is_made_of() -> None:
    first, again = texts().fetch(Silent()), texts().fetch(Silent())
    assert first == again
    other = texts(TextEncoder(**SMALL, order="post")).fetch(Silent())
    assert other.folder != first.folder
    assert other.identity != first.identity
    stored = {path.name for path in first.folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= stored
    assert "transformers_version" not in json.loads((first.folder / "config.json").read_text())


def test_the_same_parts_make_the_same_weights_in_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = texts().fetch(Silent())
    monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path / "elsewhere"))
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    second = texts().fetch(Silent())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert second.folder != first.folder
    assert second.identity == first.identity


def test_the_tokenizer_knows_the_words_of_training_rows_alone() -> None:
    few = texts(split=Split(train_rows=2))
    rows = few.split.cut(ToyText(train=120).load(ToyText(train=120).fetch(Silent()))).train
    seen = {word for text in rows["text"] for word in text.split()}
    vocabulary = load_tokenizer(few.fetch(Silent())).get_vocab()
    assert {token.removeprefix(SPACE) for token in vocabulary} == seen | {"<pad>", "<unk>", "<s>", "</s>"}
    assert [vocabulary[name] for name in ("<pad>", "<unk>", "<s>", "</s>")] == [0, 1, 2, 3]


def test_all_text_of_a_row_is_read_but_its_id() -> None:
    rows = Dataset.from_dict({"id": ["a"], "group": ["g"], "text": ["one two"], "target": ["three"], "label": [0]})
    assert list(_texts(rows)) == ["one two", "three"]


def test_seeds_draw_other_first_weights_from_scratch_and_the_same_ones_otherwise() -> None:
    def first(method: Method, seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        trainee = method.trainee(session(recipe(texts(), method)).material())
        return trainee.module.model.net.encoder.blocks[0].attention.query.weight.detach().clone()  # pyright: ignore

    assert torch.equal(first(Scratch(), 0), first(Scratch(), 0))
    assert not torch.equal(first(Scratch(), 0), first(Scratch(), 1))
    assert torch.equal(first(Full(), 0), first(Full(), 1))


@pytest.mark.parametrize("family", ["bert", "llama", "vit"])
def test_scratch_forgets_what_a_pretrained_checkpoint_knew(toy: Any, family: str) -> None:
    asked = toy(family)
    torch.manual_seed(0)
    pretrained = dict(Full().trainee(session(asked).material()).module.named_parameters())
    torch.manual_seed(0)
    drawn = dict(Scratch().trainee(session(asked).material()).module.named_parameters())
    assert pretrained.keys() == drawn.keys()
    matrices = [name for name, tensor in drawn.items() if tensor.ndim > 1]
    assert all(not torch.equal(drawn[name], pretrained[name]) for name in matrices if tensor_is_drawn(drawn[name]))
    assert len(matrices) > 10


def tensor_is_drawn(tensor: torch.Tensor) -> bool:
    return bool(tensor.any())


def test_scratch_goes_with_a_swapped_attention(toy: Any, tmp_path: Path) -> None:
    asked = replace(toy("bert"), method=Scratch(), attention=MultiHead(core=SlidingWindow(width=4)))
    assert run(asked, out=tmp_path).status == "done"


def test_a_translator_comes_whole_and_lacks_nothing() -> None:
    from transformers import AutoModelForSeq2SeqLM

    for system in (Transformer(**SMALL), Transformer(**SMALL, tied=False), Recurrent(width=32)):
        weights = texts(system).fetch(Silent())
        model, _ = load_model(weights, AutoModelForSeq2SeqLM, attention="eager")
        config = load_config(weights)
        assert (config.pad_token_id, config.decoder_start_token_id, config.eos_token_id) == (0, 2, 3)
        assert config.is_encoder_decoder
        ids = load_tokenizer(weights)(["cat dog"], return_tensors="pt")["input_ids"]
        assert model.generate(ids, max_new_tokens=3, num_beams=2).shape[0] == 1  # pyright: ignore


def test_lora_finds_both_halves_of_a_transformer_and_both_of_its_decoders_attentions() -> None:
    from transformers import AutoModelForSeq2SeqLM

    model, _ = load_model(
        texts(Transformer(**SMALL, tied=False)).fetch(Silent()), AutoModelForSeq2SeqLM, attention="eager"
    )
    adapted = LoRA().prepare(model, ())
    found = {name.partition("net.")[2].removesuffix(".lora_A.default") for name, _ in adapted.named_modules()}
    wanted = {
        f"{half}.blocks.{n}.attention.{role}"
        for half in ("encoder", "decoder")
        for n in (0, 1)
        for role in ("query", "value")
    }
    wanted |= {f"decoder.blocks.{n}.cross.{role}" for n in (0, 1) for role in ("query", "value")}
    assert {name for name in found if name and not name.endswith((".default", "lora_A", "lora_B"))} >= wanted
    assert {name for name, child in adapted.named_modules() if name.endswith("lora_A.default")} == {
        f"base_model.model.model.net.{name}.lora_A.default" for name in wanted
    }


def test_what_has_no_blocks_says_so() -> None:
    from transformers import AutoModelForSeq2SeqLM

    model, _ = load_model(texts(Recurrent(width=32)).fetch(Silent()), AutoModelForSeq2SeqLM, attention="eager")
    for method in (LoRA(), LastLayers()):
        with pytest.raises(InputError, match="architecture 'finetune-recurrent' has no Transformer blocks"):
            method.prepare(model, ())


def test_a_blank_recipe_is_read_back_from_its_json_and_set_by_name() -> None:
    asked = recipe(texts(TextEncoder(**SMALL, norm=BatchNorm(), positions=T5Bias())), Scratch())
    assert Recipe.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    changed = asked.override(["checkpoint.system.width=64", "checkpoint.tokenizer.size=100"])
    assert isinstance(changed.checkpoint, Blank)
    assert changed.checkpoint.system == TextEncoder(**SMALL | {"width": 64}, norm=BatchNorm(), positions=T5Bias())


def test_an_untrained_blank_is_another_draw_of_it() -> None:
    first = texts().fetch(Silent())
    second = Untrained(of=texts(), seed=3).fetch(Silent())
    assert second.settings == first.settings
    assert second.sha256 != first.sha256


def test_what_an_encoder_looks_at_can_be_seen() -> None:
    here = opened(recipe(texts(), Scratch()))
    found = look(untrained(here, here.splits().labels), see(here, "cat dog"))
    assert [weights.shape for weights in found.maps_LHTT] == [(2, 4, 4)] * 2
    np.testing.assert_allclose(found.maps_LHTT[0].sum(-1), 1, atol=1e-5)


def test_another_core_is_set_where_the_network_is_described() -> None:
    asked = replace(recipe(texts(), Scratch()), attention=MultiHead(core=SlidingWindow()))
    with pytest.raises(
        InputError, match="built around an attention of ours: set checkpoint.system.core, not attention"
    ):
        session(asked).material().build(session(asked).weights)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"system": TextEncoder()}, "checkpoint.tokenizer must be given: TextEncoder reads texts"),
        ({"system": TextEncoder(), "tokenizer": Words()}, "checkpoint.texts must be given: TextEncoder reads texts"),
        ({"system": ViT(), "tokenizer": Words()}, "checkpoint.tokenizer must be none: ViT reads images"),
        ({"system": ViT(), "texts": ToyText()}, "checkpoint.texts must be none: ViT reads images"),
    ],
)
def test_what_a_system_reads_decides_what_it_needs(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Blank(**fields)
