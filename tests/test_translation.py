"""Texts as targets: trained with the target before them, tested on what is written, and one answer for every id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from finetune import (
    AdamW,
    Blank,
    Budget,
    Classification,
    Files,
    Frozen,
    Full,
    InputError,
    LastLayers,
    LoRA,
    MultiHead,
    Recipe,
    Scratch,
    Translation,
    Written,
    cli,
    load,
    outputs,
    run,
)
from finetune.data.shuffled import Shuffled
from finetune.data.toy import ToyPairs, ToyText
from finetune.methods import Method
from finetune.methods.as_is import AsIs
from finetune.methods.majority import Majority
from finetune.methods.surface import Surface
from finetune.pairs import NOTHING, Pairs
from finetune.plan import plan
from finetune.session import session
from finetune.transformer.systems.transformer import Transformer
from finetune.transformer.tokenizers.words import Words


@pytest.mark.parametrize("method", [Full(), LoRA(targets=("query", "value", "mlp")), LastLayers(layers=1)])
@pytest.mark.parametrize("family", tiny.ENCODER_DECODERS)
def test_every_id_is_answered_once_and_by_the_same_text_after_loading(
    toy_pairs: Callable[[str], Recipe], tmp_path: Path, family: str, method: Method
) -> None:
    recipe = replace(toy_pairs(family), method=method)
    result = run(recipe, out=tmp_path)
    assert (result.status, result.broken, result.labels) == ("done", (), ())
    assert list(result.scores) == ["exact_match", "token_accuracy", "bleu", "chrf"]
    assert {each.n for each in result.scores.values()} == {30}
    assert result.validation_loss is None
    assert result.items is not None
    lines = outputs.read_lines((result.folder or tmp_path) / "predictions.jsonl")
    rows = session(recipe).splits().test
    assert [(line["id"], line["target"]) for line in lines] == list(zip(rows["id"], rows["target"], strict=True))
    assert result.items.unpacked().sum() == sum(line["target"] == line["output"] for line in lines)
    again = load(result.folder or "")(rows["text"][:])
    assert again == [Written(text=line["output"], truncated=False) for line in lines]


@pytest.fixture
def menu(tmp_path: Path) -> Files:
    """Twenty rows of one's own, and a file without a test set."""
    words = [
        f"{first} {second}"
        for first in ("sopa", "pan", "vino", "agua")
        for second in ("uno", "dos", "tres", "seis", "diez")
    ]
    lines = [f"{text},{' '.join(reversed(text.split()))}" for text in words]
    (tmp_path / "menu.csv").write_text("\n".join(["text,english", *lines]))
    return Files(train=str(tmp_path / "menu.csv"), target="english")


@pytest.fixture
def scratch(toy_pairs: Callable[[str], Recipe], menu: Files) -> Recipe:
    """Those rows, for a system from scratch."""
    system = Transformer(width=16, heads=2, layers=1, inner=32)
    return replace(
        toy_pairs("marian"),
        data=menu,
        checkpoint=Blank(system=system, tokenizer=Words(), texts=menu),
        method=Scratch(optim=AdamW(learning_rate=1e-3)),
    )


def test_rows_of_ones_own_are_written_by_a_checkpoint_and_from_scratch(
    toy_pairs: Callable[[str], Recipe], menu: Files, scratch: Recipe, tmp_path: Path
) -> None:
    for recipe in (replace(toy_pairs("marian"), data=menu), scratch):
        result = run(recipe, out=tmp_path / "out")
        assert (result.status, result.broken) == ("done", ())
        rows = session(recipe).splits()
        lines = outputs.read_lines((result.folder or tmp_path) / "predictions.jsonl")
        assert [line["target"] for line in lines] == rows.test["target"][:]
        assert len(rows.train) + len(rows.validation) + len(rows.test) == 20


@pytest.mark.parametrize("family", tiny.ENCODER_DECODERS)
def test_lora_adapts_both_stacks_and_both_attentions_of_a_decoder(
    toy_pairs: Callable[[str], Recipe], family: str
) -> None:
    recipe = replace(toy_pairs(family), method=LoRA(targets=("query", "mlp")))
    module = recipe.method.trainee(session(recipe).material()).module
    adapted = [name for name, _ in module.named_modules() if name.endswith("lora_A.default")]
    # two blocks a stack: the encoder has one query, the decoder two, and each a feed-forward of two layers
    assert len(adapted) == 2 * (1 + 2) + 2 * (2 + 2)


def test_it_learns_to_write_backwards(toy_pairs: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(
        toy_pairs("t5"),
        data=ToyPairs(train=500, test=50),
        method=Full(optim=AdamW(learning_rate=3e-3)),
        budget=Budget(epochs=15, batch_size=16),
    )
    result = run(recipe, out=tmp_path)
    assert result.scores["token_accuracy"].value > 0.25  # a tenth of the words by chance
    curve = outputs.read_lines((result.folder or tmp_path) / "curve.jsonl")
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]


def test_the_same_recipe_twice_writes_the_same(toy_pairs: Callable[[str], Recipe], tmp_path: Path) -> None:
    first, again = (run(toy_pairs("marian"), out=tmp_path / name) for name in ("first", "again"))
    assert first.scores == again.scores
    assert first.items == again.items


def test_a_batch_has_the_target_one_token_late_and_nothing_after_its_end(
    toy_pairs: Callable[[str], Recipe],
) -> None:
    here = session(toy_pairs("marian"))
    train, rows = here.examples()["train"], here.splits().train
    assert isinstance(train, Pairs)
    batch = train.batch(np.arange(8), multiple=8)
    read, wanted = batch.inputs["decoder_input_ids"], batch.targets
    assert read.shape == wanted.shape
    assert (read[:, 0] == 2).all()
    for row, text in enumerate(rows["target"][:8]):
        count = len(text.split()) + 1
        assert wanted[row, count - 1] == 3
        assert (wanted[row, count:] == NOTHING).all()
        assert read[row, 1:count].equal(wanted[row, : count - 1])
        assert train.terms[row] == count
    assert list(train.targets) == rows["target"][:]


def test_the_loss_is_the_sum_over_the_targets_tokens(toy_pairs: Callable[[str], Recipe]) -> None:
    recipe = toy_pairs("t5")
    here = session(recipe)
    model, head = here.build(here.weights)
    assert head == ()
    train = here.examples()["train"]
    with torch.no_grad():
        together = train.batch(np.arange(4))
        whole = recipe.task.loss(model.eval()(**together.inputs).logits, together)
        each = [train.batch(np.array([row])) for row in range(4)]
        alone = sum(recipe.task.loss(model(**batch.inputs).logits, batch) for batch in each)
    assert float(whole) == pytest.approx(float(alone), rel=1e-5)
    assert float(whole) / int(recipe.task.units(train)[:4].sum()) < 3 * np.log(model.config.vocab_size)  # of a guess 1


def test_a_beam_of_one_writes_what_is_likeliest_each_time_and_a_wider_one_runs(
    toy_pairs: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = toy_pairs("marian")
    wide = run(replace(recipe, task=Translation(max_target=8, beams=3)), out=tmp_path)
    assert wide.status == "done"
    assert wide.fingerprint != run(recipe, out=tmp_path).fingerprint


def test_texts_longer_than_what_is_read_or_written_are_cut_and_counted(
    toy_pairs: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy_pairs("marian"), task=Translation(max_length=4, max_target=3))
    here = session(recipe)
    long = sum(len(text.split()) > 2 for text in here.splits().test["text"])
    result = run(recipe, out=tmp_path)
    assert result.truncated["test"] == long > 0
    lines = outputs.read_lines((result.folder or tmp_path) / "predictions.jsonl")
    assert max(len(line["output"].split()) for line in lines) <= 3


def test_an_empty_source_is_answered_as_a_row_and_refused_as_an_input(
    toy_pairs: Callable[[str], Recipe], menu: Files, tmp_path: Path
) -> None:
    (tmp_path / "test.csv").write_text("text,english\nsopa uno,uno sopa\n,nada\n")
    result = run(replace(toy_pairs("marian"), data=replace(menu, test=str(tmp_path / "test.csv"))), out=tmp_path)
    lines = outputs.read_lines((result.folder or tmp_path) / "predictions.jsonl")
    assert [line["target"] for line in lines] == ["uno sopa", "nada"]
    with pytest.raises(InputError, match=r"input 2 is empty, of which nothing can be said: got ' '"):
        load(result.folder or "")(["sopa uno", " "])


def test_words_that_a_tokenizer_from_scratch_never_saw_are_told(
    scratch: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(run(scratch, out=tmp_path / "out").folder)
    assert cli.main(["predict", folder, "나는 학교에", "sopa zzz", "sopa uno", "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert [record["input"] for record in json.loads(out)] == ["나는 학교에", "sopa zzz", "sopa uno"]
    assert "2 of 2 tokens of input 1, 1 of 2 tokens of input 2 are unknown to the run's tokenizer" in err


def test_a_finished_run_writes_from_the_command_line(
    toy_pairs: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(run(toy_pairs("t5"), out=tmp_path).folder)
    assert cli.main(["predict", folder, "cat dog"]) == 0
    assert capsys.readouterr().out.startswith("cat dog")
    assert cli.main(["predict", folder, "cat dog", "--format", "json"]) == 0
    assert set(json.loads(capsys.readouterr().out)[0]) == {"input", "text", "truncated"}


def test_what_it_will_take_is_told_before(toy_pairs: Callable[[str], Recipe]) -> None:
    assert plan(toy_pairs("marian")).seconds["eval"] > 0


def test_untouched_it_answers_as_it_is(toy_pairs: Callable[[str], Recipe], tmp_path: Path) -> None:
    result = run(replace(toy_pairs("t5"), method=AsIs()), out=tmp_path)
    assert (result.status, result.updates, result.parameters["trained"]) == ("done", 0, 0)
    assert result.saved_bytes < 100_000
    assert load(result.folder or "")(["cat dog"])


@pytest.mark.parametrize("method", [Frozen(), Majority(), Surface()], ids=["frozen", "majority", "surface"])
def test_a_method_of_labels_is_refused(toy_pairs: Callable[[str], Recipe], tmp_path: Path, method: Method) -> None:
    words = r"method \w+ puts a head for labels or values on the checkpoint, .* neither: its answers are texts\."
    with pytest.raises(InputError, match=words):
        run(replace(toy_pairs("t5"), method=method), out=tmp_path)


def test_labels_are_not_texts_and_texts_are_no_labels(
    toy: Callable[[str], Recipe], toy_pairs: Callable[[str], Recipe], tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"task Translation writes texts and needs rows with one as target; the data h"
    ):
        run(replace(toy_pairs("marian"), data=ToyText()), out=tmp_path)
    chosen = replace(toy("bert"), data=ToyPairs())
    for _ in range(2):  # the second time its texts are encoded
        with pytest.raises(
            InputError, match=r"task Classification chooses among labels, and the data has none: its rows"
        ):
            run(chosen, out=tmp_path)


def test_a_checkpoint_that_writes_nothing_is_refused(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"task Translation needs an encoder–decoder, and checkpoint .* \(bert\) is none"
    ):
        run(replace(toy("bert"), data=ToyPairs(), task=Translation()), out=tmp_path)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"beams": 0}, r"task\.beams must be at least 1, got 0"),
        ({"max_target": 1}, r"task\.max_target must be at least 2, a token and the end, got 1"),
    ],
)
def test_a_task_that_cannot_be_is_refused(fields: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Translation(**fields)  # pyright: ignore[reportArgumentType]


def test_more_than_the_model_has_places_for_is_refused(toy_pairs: Callable[[str], Recipe], tmp_path: Path) -> None:
    for field, words in (("max_target", "at most the model's 64, got 65"), ("max_length", "the model's 64, got 65")):
        with pytest.raises(InputError, match=words):
            run(replace(toy_pairs("marian"), task=Translation(**{field: 65})), out=tmp_path)


def test_two_processes_write_one_answer_for_every_id(toy_pairs: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = toy_pairs("marian")
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from finetune import Budget, Full, Local, Recipe, Translation\n"
        "from finetune.data.toy import ToyPairs\n\n"
        f"recipe = Recipe(name='mine', checkpoint={recipe.checkpoint!r}, data=ToyPairs(), "
        "task=Translation(max_target=8), method=Full(), budget=Budget(batch_size=16), precision='float32')\n\n"
        "if __name__ == '__main__':\n    from finetune.cli import launch\n\n    launch(__file__)\n"
    )
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    together = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launch, str(mine), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=together)
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "out" / "mine").glob("*/result.json")
    lines = outputs.read_lines(record.parent / "predictions.jsonl")
    assert json.loads(record.read_text())["environment"]["processes"] == 2
    assert [line["id"] for line in lines] == session(recipe).splits().test["id"][:]


def test_another_attention_inside_is_refused(toy_pairs: Callable[[str], Recipe], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a marian attends in three places, and no core is made for them"):
        run(replace(toy_pairs("marian"), attention=MultiHead()), out=tmp_path)


def test_texts_are_no_labels_that_could_be_dealt_out(toy_pairs: Callable[[str], Recipe], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.of must have labels, values or tags to deal out, and the rows of toy"):
        run(replace(toy_pairs("marian"), data=Shuffled(of=ToyPairs())), out=tmp_path)


def test_labels_are_written_down_as_they_were(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    result = run(replace(toy("bert"), task=Classification()), out=tmp_path)
    line = outputs.read_lines((result.folder or tmp_path) / "predictions.jsonl")[0]
    assert list(line) == ["id", "label", "predicted", "target", "output", "logits"]
