"""One run: what it leaves behind, what it does only once, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoTokenizer, pipeline

from finetune import (
    AdamW,
    Budget,
    Classification,
    Files,
    Frozen,
    Full,
    InputError,
    Local,
    LoRA,
    Recipe,
    Result,
    Split,
    compare,
    features,
    outputs,
    run,
    seeds,
)
from finetune.encode import Features
from finetune.evaluate import _in_order
from finetune.predict import load
from finetune.progress import Silent
from finetune.session import session


def folder(recipe: Recipe, out: Path) -> Path:
    return session(recipe).folder(out).path


def test_a_run_leaves_everything_needed_to_believe_and_repeat_it(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    result = run(toy("bert"), out=tmp_path)
    left = folder(toy("bert"), tmp_path)
    assert {path.name for path in left.iterdir()} == {
        *("recipe.json", "curve.jsonl", "predictions.jsonl", "model", "result.json", "status.json")
    }
    assert Recipe.from_json(json.loads((left / "recipe.json").read_text())) == toy("bert")
    stored = json.loads((left / "result.json").read_text())
    assert set(stored["scores"]["accuracy"]) == {"value", "low", "high", "n"}
    assert stored["scores"]["accuracy"]["n"] == stored["rows"]["test"] == 30
    assert stored["parameters"]["total"] == stored["parameters"]["trained"] > 0
    assert stored["weights"]["sha256"] == outputs_sha(toy("bert"))
    assert stored["peak_memory_bytes"] > 50e6
    assert set(stored["seconds"]) == {"data", "load", "features", "train", "eval"}
    assert Result.from_json(stored) == result


def outputs_sha(recipe: Recipe) -> str:
    from finetune.hashing import file_sha256

    assert isinstance(recipe.checkpoint, Local)
    return file_sha256(Path(recipe.checkpoint.folder) / "model.safetensors")


def test_every_test_id_is_predicted_once_and_the_score_is_of_these_predictions(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    result = run(toy("bert"), out=tmp_path)
    lines = outputs.read_lines(folder(toy("bert"), tmp_path) / "predictions.jsonl")
    assert [line["id"] for line in lines] == [f"test-{number}" for number in range(30)]
    names = session(toy("bert")).splits().labels
    assert [line["label"] for line in lines] == [names[line["target"]] for line in lines]
    assert [line["predicted"] for line in lines] == [names[line["output"]] for line in lines]
    right = [line["output"] == line["target"] == int(np.argmax(line["logits"])) or None for line in lines]
    assert result.scores["accuracy"].value == sum(map(bool, right)) / 30


def test_a_prediction_twice_or_not_at_all_is_an_error_not_an_average() -> None:
    rows = np.array([0, 1]), np.zeros((2, 3))
    for parts, count in (([rows, rows], 2), ([rows], 3)):
        with pytest.raises(RuntimeError, match="not one for each"):
            _in_order(parts, count)


def test_a_finished_run_is_not_run_again_and_an_interrupted_one_is(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(toy("bert"), out=tmp_path)
    left = folder(toy("bert"), tmp_path)
    monkeypatch.setattr("finetune.execute._execute", lambda *_: pytest.fail("it ran again"))
    assert run(toy("bert"), out=tmp_path) == first
    monkeypatch.undo()
    (left / "result.json").unlink()
    (left / "half-written").touch()
    again = run(toy("bert"), out=tmp_path)
    assert again.scores == first.scores
    assert not (left / "half-written").exists()


def test_features_are_taken_once_for_all_seeds_heads_and_poolings(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    pooled = features.Extraction._pooled
    monkeypatch.setattr(features.Extraction, "_pooled", lambda *given: passes.append(1) or pooled(*given))
    base = replace(toy("bert"), method=Frozen())
    variants = [base, replace(base, method=Frozen(pooling="cls")), replace(base, method=Frozen(penalty=1e-2))]
    comparison = compare(seeds(variants, 2), out=tmp_path)
    assert len(comparison.results) == 6
    assert len(passes) == 3  # train, validation, test
    assert len({result.seconds["features"] for result in comparison.results}) == 1
    run(replace(base, task=Classification(max_length=8)), out=tmp_path)
    assert len(passes) == 6  # other tokens are other features


def test_frozen_features_are_the_same_in_any_batch(
    toy: Callable[[str], Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = session(replace(toy("bert"), method=Frozen()))
    material = here.material()
    taken = []
    for tokens in (16, 4096):
        monkeypatch.setattr(features, "tokens_per_pass", lambda _, tokens=tokens: tokens)
        extraction = replace(material.extraction, folder=material.extraction.folder / str(tokens))
        found, _ = extraction(lambda: material.build(material.weights)[0], material.examples, "mean")
        taken.append(found["train"].batch(np.arange(54)).inputs["features"])
    torch.testing.assert_close(*taken, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["vit", "dinov2"])
@pytest.mark.parametrize("size", [None, 8, 24])
def test_an_image_is_as_long_as_the_model_sees_it(toy: Callable[[str], Recipe], family: str, size: int | None) -> None:
    recipe = replace(toy(family), task=Classification(image_size=size))
    here = session(recipe)
    if size is not None and family == "vit":  # it has positions for its own size only
        with pytest.raises(InputError, match=f"task.image_size must be 16 for this vit, got {size}"):
            here.examples()
        return
    train = here.examples()["train"]
    batch = train.batch(np.arange(2))
    model = here.material().build(here.weights)[0]
    hidden = model(**batch.inputs, output_hidden_states=True).hidden_states[-1]
    assert hidden.shape[1] == train.lengths[0]


@pytest.mark.parametrize("family", tiny.TEXT_FAMILIES)
def test_a_text_is_judged_alike_alone_and_padded(toy: Callable[[str], Recipe], family: str) -> None:
    here = session(toy(family))
    examples, (model, _) = here.examples()["test"], here.build(here.weights)
    order = np.argsort(examples.lengths)
    batch = examples.batch(order[[0, -1]])
    assert not batch.inputs["attention_mask"].all()
    with torch.no_grad():
        together = model.eval()(**batch.inputs).logits[0]
        alone = model(**examples.batch(order[:1]).inputs).logits[0]
    assert torch.allclose(together, alone, atol=1e-5)


def test_rows_of_the_wrong_kind_are_refused_with_the_checkpoint_and_both_kinds(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    for family, other, reads, holds in (("bert", "vit", "text", "image"), ("dinov2", "llama", "image", "text")):
        recipe = replace(toy(family), data=toy(other).data)
        assert isinstance(recipe.checkpoint, Local)
        words = rf"^checkpoint {recipe.checkpoint.folder} \({family}\) reads {reads}s, the data holds {holds}s$"
        with pytest.raises(InputError, match=words):
            run(recipe, out=tmp_path)


def test_a_field_of_the_other_kind_has_no_meaning_and_says_so(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    texts = replace(toy("bert"), task=Classification(image_size=16))
    with pytest.raises(InputError, match=r"^task\.image_size .* no meaning .*/bert, which reads texts; .*got 16$"):
        run(texts, out=tmp_path)
    images = replace(toy("vit"), task=Classification(max_length=64))
    with pytest.raises(InputError, match=r"^task\.max_length .* no meaning .*/vit, which reads images; .*got 64$"):
        run(images, out=tmp_path)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (18, "got 18; the nearest are 16 and 20"),
        (3, "got 3; the nearest is 4"),
        (15, "got 15; the nearest are 12 and 16"),
    ],
)
def test_a_size_that_leaves_part_of_a_patch_is_answered_with_those_that_work(
    toy: Callable[[str], Recipe], size: int, words: str
) -> None:
    recipe = replace(toy("dinov2"), task=Classification(image_size=size))
    with pytest.raises(
        InputError, match=rf"^task\.image_size must be a multiple of the 4 pixels of a patch .*{words}$"
    ):
        session(recipe).examples()


def test_a_frozen_run_is_the_same_whether_its_features_were_cached_or_not(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy("bert"), method=Frozen(penalty=1e-2))
    cold = run(recipe, out=tmp_path / "cold")
    warm = run(recipe, out=tmp_path / "warm")
    left = [(folder(recipe, tmp_path / name) / "predictions.jsonl").read_text() for name in ("cold", "warm")]
    assert left[0] == left[1]
    assert cold.seconds["features"] == warm.seconds["features"]
    assert warm.peak_memory_bytes >= features._read(next(iter(features_of(recipe))), ["mean"])[1].peak_memory_bytes  # pyright: ignore


def features_of(recipe: Recipe) -> list[Path]:
    return sorted(session(recipe).material().extraction.folder.iterdir())


@pytest.mark.parametrize("damage", ["mean.npy", "facts.json"])
def test_damaged_features_are_taken_again(toy: Callable[[str], Recipe], tmp_path: Path, damage: str) -> None:
    recipe = replace(toy("bert"), method=Frozen(penalty=1e-2))
    first = run(recipe, out=tmp_path / "first")
    for folder_ in features_of(recipe):
        (folder_ / damage).write_bytes((folder_ / damage).read_bytes()[:50])
    assert run(recipe, out=tmp_path / "second").scores == first.scores


def test_features_stay_on_disk(toy: Callable[[str], Recipe]) -> None:
    here = session(replace(toy("bert"), method=Frozen()))
    trainee = here.recipe.method.trainee(here.material())
    assert trainee.solve is not None
    train = trainee.examples["train"]
    assert isinstance(train, Features)
    maps = Path("/proc/self/maps").read_text()
    assert "mean.npy" in maps
    assert "cls.npy" not in maps  # of another pooling nothing is read


@pytest.mark.parametrize(("file", "field"), [("config.json", "layer_norm_eps"), ("tokenizer.json", "version")])
def test_the_same_weights_with_other_settings_are_another_run(
    toy: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path, file: str, field: str
) -> None:
    local = broken(checkpoint("bert"), tmp_path / "c", lambda _: None)
    recipe = replace(toy("bert"), checkpoint=local)
    before = session(recipe).fingerprint
    path = Path(local.folder) / file
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {field: 0.5 if field == "layer_norm_eps" else "1.1"}))
    assert session(recipe).fingerprint != before


def test_a_run_is_not_loaded_onto_other_weights(
    toy: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    local = broken(checkpoint("bert"), tmp_path / "c", lambda _: None)
    recipe = replace(toy("bert"), checkpoint=local, method=LoRA())
    run(recipe, out=tmp_path)
    left = folder(recipe, tmp_path)
    weights = Path(local.folder) / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, weights, metadata={"format": "pt"})
    with pytest.raises(InputError, match="was trained on weights with sha256 .*, its checkpoint now has"):
        load(left)


def test_a_run_that_another_process_computes_is_refused(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    held = session(toy("bert")).folder(tmp_path)
    with held.lock(), pytest.raises(InputError, match="another process is computing .*wait for it"):
        run(toy("bert"), out=tmp_path)
    assert run(toy("bert"), out=tmp_path).status == "done"


def test_a_record_of_another_version_is_named(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    run(toy("bert"), out=tmp_path)
    path = folder(toy("bert"), tmp_path) / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"more": 1}))
    with pytest.raises(InputError, match="was written by another version of finetune; delete its folder"):
        run(toy("bert"), out=tmp_path)


def test_texts_longer_than_the_model_are_cut_and_counted(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    result = run(replace(toy("bert"), task=Classification(max_length=6)), out=tmp_path)
    assert 0 < result.truncated["test"] < 30


def test_empty_texts_are_read_and_predicted(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\n" + "cat,animal\n,nothing\n" * 20)
    for family in ("bert", "gpt2", "qwen2"):
        recipe = replace(toy(family), data=Files(train=str(tmp_path / "rows.csv")))
        assert run(recipe, out=tmp_path / "out").status == "done"


def test_a_pair_of_texts_is_read_with_token_types(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,other,label\n" + "cat,dog,same\none,sun,not\n" * 20)
    data = Files(train=str(tmp_path / "rows.csv"), text_pair="other")
    batch = session(replace(toy("bert"), data=data)).examples()["train"].batch(np.arange(4))
    assert batch.inputs["token_type_ids"].tolist() == [[0, 0, 0, 1, 1]] * 4


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_a_full_model_is_loaded_by_pipeline_with_its_label_names(
    toy: Callable[[str], Recipe], tmp_path: Path, family: str
) -> None:
    run(toy(family), out=tmp_path)
    left = folder(toy(family), tmp_path)
    say = pipeline("text-classification", model=str(left / "model"))
    assert say("cat dog")[0]["label"] in ("animal", "number", "sky")
    stored = outputs.read_lines(left / "predictions.jsonl")[0]
    text = session(toy(family)).splits().test["text"][0]
    assert say(text)[0]["label"] == ("animal", "number", "sky")[stored["output"]]


def test_an_image_model_is_loaded_by_pipeline(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    run(toy("vit"), out=tmp_path)
    left = folder(toy("vit"), tmp_path)
    processor = AutoImageProcessor.from_pretrained(left / "model", backend="pil")
    say = pipeline("image-classification", model=str(left / "model"), image_processor=processor)
    picture = session(toy("vit")).splits().test[0]["image"]
    assert {found["label"] for found in say(picture)} == {"red", "green", "blue"}


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_is_loaded_by_peft_on_the_base_it_names(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    from peft import AutoPeftModelForSequenceClassification

    recipe = replace(toy("bert"), method=LoRA(optim=AdamW(learning_rate=1e-2)))
    run(recipe, out=tmp_path)
    left = folder(recipe, tmp_path)
    assert not (left / "adapter" / "README.md").exists()
    model = AutoPeftModelForSequenceClassification.from_pretrained(left / "adapter", num_labels=3).eval()
    tokenizer = AutoTokenizer.from_pretrained(left / "adapter")
    texts = session(recipe).splits().test["text"][:]
    with torch.no_grad():
        logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.numpy()
    stored = [line["logits"] for line in outputs.read_lines(left / "predictions.jsonl")]
    np.testing.assert_allclose(logits, stored, atol=1e-4)


def test_validation_chooses_and_test_does_not(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    seen = []

    class Watch(Silent):
        def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
            seen.append(what)

    recipe = replace(toy("bert"), budget=Budget(epochs=4, batch_size=16, patience=4))
    run(recipe, out=tmp_path, progress=Watch())
    assert seen.count("test") == 1
    assert seen.index("test") == len(seen) - 1
    assert seen.count("validation") == 5


@pytest.mark.parametrize("world", ["2", "8"])
def test_processes_that_would_not_work_together_are_refused_with_the_command_that_works(
    toy: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(InputError, match=f"WORLD_SIZE is {world} .*ACCELERATE_USE_CPU=true accelerate launch"):
        run(toy("bert"), out=tmp_path)


def test_an_output_folder_that_cannot_be_written_is_named(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write .*file.*choose another --out"):
        run(toy("bert"), out=tmp_path / "file")


def test_one_recipe_that_cannot_run_stops_no_other(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    bad = replace(toy("bert"), checkpoint=Local(str(tmp_path / "nothing")))
    comparison = compare([bad, toy("bert")], out=tmp_path)
    assert [failure.recipe for failure in comparison.failures] == [bad]
    assert "holds no config.json" in comparison.failures[0].reason
    assert len(comparison.results) == 1


def broken(checkpoint: Path, to: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Local:
    import shutil

    shutil.copytree(checkpoint, to)
    tensors = load_file(to / "model.safetensors")
    change(tensors)
    save_file(tensors, to / "model.safetensors", metadata={"format": "pt"})
    return Local(str(to))


def test_a_checkpoint_that_lacks_a_backbone_tensor_is_refused(
    toy: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    local = broken(checkpoint("bert"), tmp_path / "c", lambda t: t.pop("encoder.layer.1.output.dense.weight"))
    with pytest.raises(InputError, match="lacks 1 backbone tensors, the first is 'bert.encoder.layer.1.output.dense"):
        run(replace(toy("bert"), checkpoint=local), out=tmp_path)


def test_a_missing_pooler_joins_the_head_and_is_trained(
    toy: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    local = broken(
        checkpoint("bert"), tmp_path / "c", lambda t: [t.pop(name) for name in list(t) if name.startswith("pooler")]
    )
    recipe = replace(toy("bert"), checkpoint=local, method=LoRA())
    torch.manual_seed(0)
    trainee = recipe.method.trainee(session(recipe).material())
    assert any("pooler" in name for name, tensor in trainee.module.named_parameters() if tensor.requires_grad)


def test_a_truncated_weight_file_is_named(
    toy: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    local = broken(checkpoint("bert"), tmp_path / "c", lambda _: None)
    path = Path(local.folder) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot read the weights of checkpoint .*"):
        run(replace(toy("bert"), checkpoint=local), out=tmp_path)


def test_a_config_does_not_choose_the_attention(
    toy: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    local = broken(checkpoint("bert"), tmp_path / "c", lambda _: None)
    config = Path(local.folder) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"_attn_implementation": "someone/kernel"}))
    result = run(replace(toy("bert"), checkpoint=local), out=tmp_path)
    assert result.attention == "finetune_stock"


def test_code_that_comes_with_a_checkpoint_is_not_run(
    toy: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    local = broken(checkpoint("bert"), tmp_path / "c", lambda _: None)
    config, evil = Path(local.folder) / "config.json", Path(local.folder) / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    auto = {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Model"}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"auto_map": auto, "model_type": "evil"}))
    with pytest.raises(InputError, match=r"cannot read the config.json of checkpoint"):
        run(replace(toy("bert"), checkpoint=local), out=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_of_another_model_is_refused(
    toy: Callable[[str], Recipe], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    local = broken(checkpoint("bert"), tmp_path / "c", lambda _: None)
    path = Path(local.folder) / "tokenizer.json"
    stored = json.loads(path.read_text())
    stored["model"]["vocab"]["cat"] = 99999
    path.write_text(json.dumps(stored))
    with pytest.raises(InputError, match="makes token 99999, the model knows .*do not belong together"):
        run(replace(toy("bert"), checkpoint=local), out=tmp_path)


def test_a_head_for_other_labels_is_started_anew(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    run(replace(toy("bert"), method=Full(optim=AdamW(learning_rate=1e-2))), out=tmp_path)
    left = folder(replace(toy("bert"), method=Full(optim=AdamW(learning_rate=1e-2))), tmp_path)
    (tmp_path / "rows.csv").write_text("text,label\n" + "cat,a\none,b\nsun,c\n" * 20)
    recipe = replace(
        toy("bert"), checkpoint=Local(str(left / "model")), data=Files(train=str(tmp_path / "rows.csv")), split=Split()
    )
    material = session(recipe).material()
    torch.manual_seed(0)
    renewed = material.build(material.weights)[0].get_submodule("classifier").weight
    trained = load_file(left / "model" / "model.safetensors")["classifier.weight"]
    assert not torch.equal(renewed, trained)
    same = session(replace(toy("bert"), checkpoint=Local(str(left / "model")))).material()
    assert torch.equal(same.build(same.weights)[0].get_submodule("classifier").weight, trained)


def test_a_result_is_of_the_recipe_that_was_asked_for_whichever_made_the_run(
    toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    first = replace(toy("bert"), method=Frozen())
    second = replace(first, budget=Budget(least_updates=50))  # of which a head that is solved for knows nothing
    (made,) = compare([first], out=tmp_path).results
    for known in ([], [made]):
        (found,) = compare([second], out=tmp_path, known=known).results
        assert found.fingerprint == made.fingerprint
        assert (found.recipe, found.items) == (second.to_json(), made.items)
