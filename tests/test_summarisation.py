"""A decoder that goes on after a text: what it reads before, what it is trained to say, and how that is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from finetune import (
    Frozen,
    Full,
    InputError,
    LastLayers,
    Local,
    LoRA,
    Recipe,
    Summarisation,
    Written,
    load,
    outputs,
    run,
)
from finetune.methods import Method
from finetune.methods.as_is import AsIs
from finetune.pairs import NOTHING, Continued, prompt
from finetune.plan import plan
from finetune.session import session

DECODERS = ["gpt2", "gpt_neox", "llama"]


@pytest.mark.parametrize(
    "method", [Full(), LoRA(), LastLayers(layers=1), AsIs()], ids=["full", "lora", "last", "as_is"]
)
@pytest.mark.parametrize("family", DECODERS)
def test_every_id_is_answered_once_and_by_the_same_text_after_loading(
    toy_pairs: Callable[[str], Recipe], tmp_path: Path, family: str, method: Method
) -> None:
    recipe = replace(toy_pairs(family), method=method)
    result = run(recipe, out=tmp_path)
    assert (result.status, result.broken) == ("done", ())
    assert list(result.scores) == ["rouge_1", "rouge_2", "rouge_l"]
    assert (result.validation_loss, result.scores["rouge_1"].n) == (None, 30)
    assert result.items is not None
    assert result.items.unpacked().mean() == pytest.approx(result.scores["rouge_1"].value, abs=1e-3)
    lines = outputs.read_lines((result.folder or tmp_path) / "predictions.jsonl")
    rows = session(recipe).splits().test
    assert [(line["id"], line["target"]) for line in lines] == list(zip(rows["id"], rows["target"], strict=True))
    assert load(result.folder or "")(rows["text"][:]) == [Written(text=x["output"], truncated=False) for x in lines]


@pytest.mark.parametrize("family", DECODERS)
def test_padding_before_a_text_changes_nothing_that_is_said_after_it(
    toy_pairs: Callable[[str], Recipe], family: str
) -> None:
    here = session(toy_pairs(family))
    model, head = here.build(here.weights)
    assert head == ()
    train, model = here.examples()["train"], model.eval()
    together = train.batch(np.arange(6), multiple=8)
    assert (together.inputs["attention_mask"][:, 0] == 0).any()
    with torch.no_grad():
        logits_NTV = model(**together.inputs).logits
        assert logits_NTV.shape[:2] == together.targets.shape
        for row in range(6):
            alone = train.batch(np.array([row]))
            length = alone.targets.shape[1]
            torch.testing.assert_close(logits_NTV[row, :length], model(**alone.inputs).logits[0], atol=1e-5, rtol=0)


def test_the_loss_counts_the_target_alone_and_generation_begins_where_it_does(
    toy_pairs: Callable[[str], Recipe],
) -> None:
    recipe = toy_pairs("llama")
    here = session(recipe)
    train = here.examples()["train"]
    assert isinstance(train, Continued)
    batch = train.batch(np.arange(5))
    given = prompt(batch)["input_ids"]
    assert (given[:, -len(train.between) :] == torch.tensor(train.between)).all()
    assert batch.inputs["input_ids"][:, given.shape[1] :].equal(
        batch.targets[:, :-1].masked_fill(batch.targets[:, :-1] == NOTHING, 3)  # the tokenizer's end is its padding
    )
    assert [int((row != NOTHING).sum()) for row in batch.targets] == train.terms[:5].tolist()


@pytest.mark.parametrize("beams", [1, 2])
def test_what_is_written_is_what_is_likeliest_each_time(toy_pairs: Callable[[str], Recipe], beams: int) -> None:
    recipe = replace(toy_pairs("gpt2"), task=Summarisation(max_target=5, beams=beams))
    here = session(recipe)
    model = here.build(here.weights)[0].eval()
    said = here.respond(model, here.examples()["test"].batch(np.arange(4)))
    assert said.shape == (4,)
    if beams == 1:
        batch = here.examples()["test"].batch(np.array([0]))
        ids = prompt(batch)["input_ids"]
        with torch.no_grad():
            first = int(model(input_ids=ids).logits[0, -1].argmax())
        from finetune.loading import load_tokenizer

        word = load_tokenizer(here.weights).decode([first], skip_special_tokens=True)
        assert said[0].startswith(word)


def test_long_texts_leave_room_for_the_rest(toy_pairs: Callable[[str], Recipe], tmp_path: Path) -> None:
    between = len(session(toy_pairs("gpt2")).examples()["train"].between)  # pyright: ignore
    room = 64 - 8 - between
    assert run(replace(toy_pairs("gpt2"), task=Summarisation(max_target=8, max_length=room)), out=tmp_path)
    with pytest.raises(InputError, match=rf"of the model's 64 tokens {room} are left for a text, got {room + 1}"):
        run(replace(toy_pairs("gpt2"), task=Summarisation(max_target=8, max_length=room + 1)), out=tmp_path)


def test_a_frozen_backbone_has_no_head_that_writes(toy_pairs: Callable[[str], Recipe], tmp_path: Path) -> None:
    words = r"method frozen puts a head for labels or values .*, and the task has neither: .* last_layers .* as_is noth"
    with pytest.raises(InputError, match=words):
        run(replace(toy_pairs("gpt2"), method=Frozen()), out=tmp_path)


def test_what_does_not_continue_texts_is_refused(
    toy_pairs: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    for family, words in (("bert", r"\(bert\) is none"), ("t5", r"\(t5\) is none; an encoder–decoder is trained by T")):
        folder = toy_pairs(family).checkpoint if family == "t5" else Local(str(checkpoint(family)))
        with pytest.raises(InputError, match=rf"task Summarisation needs a decoder that continues texts, .*{words}"):
            run(replace(toy_pairs("gpt2"), checkpoint=folder), out=tmp_path)


def test_a_checkpoint_without_what_writes_is_refused(
    toy_pairs: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    recipe = replace(toy_pairs("llama"), checkpoint=Local(str(checkpoint("llama"))))
    with pytest.raises(InputError, match=r"lacks 1 tensors of what writes text, the first is 'lm_head\.weight'"):
        run(recipe, out=tmp_path)


def test_what_it_will_take_is_told_before(toy_pairs: Callable[[str], Recipe]) -> None:
    assert plan(toy_pairs("gpt2")).seconds["eval"] > 0
