"""A tag for each word: where a word is told, what is cut off, how it is scored, and one answer for every word."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import tiny
import torch
from sklearn.linear_model import LogisticRegression

from finetune import (
    AdamW,
    Budget,
    Classification,
    Frozen,
    Full,
    InputError,
    LastLayers,
    Local,
    LoRA,
    MultiHead,
    Recipe,
    Regression,
    Scratch,
    Split,
    Tagged,
    TokenClassification,
    Translation,
    cli,
    load,
    outputs,
    run,
)
from finetune.augmentations.drop_tokens import DropTokens
from finetune.certify import certify
from finetune.data import Data, Fetched, Rows, to_tagged
from finetune.data.shuffled import Shuffled
from finetune.data.toy import TAGS, ToyPairs, ToyTags, ToyText
from finetune.encode import NOTHING, objects
from finetune.finished import Finished
from finetune.methods import Method
from finetune.methods.as_is import AsIs
from finetune.methods.majority import Majority
from finetune.methods.stock_head import StockHead
from finetune.methods.surface import OfWords, Surface
from finetune.plan import plan
from finetune.predict import Span
from finetune.seen import see
from finetune.session import session
from finetune.tagged import Words, begun
from finetune.tasks.token_classification import UNREAD
from finetune.transfer import scored

TOKEN = Frozen(pooling="token")
METHODS = [TOKEN, LoRA(), Full(), LastLayers(layers=1), Scratch(), AsIs(), Majority(), Surface()]


@pytest.fixture
def words(toy_tags: Callable[[str], Recipe]) -> Words:
    """The test sentences of the toy, as a tiny BERT reads them."""
    found = session(toy_tags("bert")).examples()["test"]
    assert isinstance(found, Words)
    return found


@pytest.mark.parametrize(
    ("text", "offsets", "expected"),
    [
        ("cat dog", [(0, 0), (0, 3), (4, 7), (0, 0)], [0, 1, 2, 0]),  # the first and the last token are the tokenizer's
        ("catdog sun", [(0, 3), (3, 6), (7, 10)], [1, 0, 2]),
        ("cat dog", [(0, 3), (3, 7)], [1, 2]),  # of bytes: the space is part of the word after it
        ("cat dog", [(0, 3), (3, 4), (4, 7)], [1, 0, 2]),  # or a token by itself
        ("ž dog", [(0, 1), (0, 1), (2, 5)], [1, 0, 2]),  # one letter in two tokens
        ("cat ? dog", [(0, 3), (6, 9)], [1, 3]),  # nothing was made of the second
        ("cat dog", [(0, 3)], [1]),  # cut off
        ("a b c", [(0, 3), (4, 5)], [1, 3]),  # two words in one token: it is the first's
    ],
)
def test_a_word_begins_with_the_first_token_that_has_a_letter_of_it(
    text: str, offsets: list[tuple[int, int]], expected: list[int]
) -> None:
    assert begun(text.split(), offsets) == expected


def test_an_empty_word_is_begun_by_no_token() -> None:
    assert begun(["cat", "", "dog"], [(0, 3), (5, 8)]) == [1, 3]
    assert begun(["", "cat"], [(0, 4)]) == [2]


@pytest.mark.parametrize("family", tiny.TEXT_FAMILIES)
def test_of_every_family_the_token_of_a_word_is_its_own(toy_tags: Callable[[str], Recipe], family: str) -> None:
    here = session(toy_tags(family))
    examples, rows = here.examples()["test"], here.splits().test
    assert examples.places is not None
    tokenizer = tiny.tokenizer(family)
    batch = examples.batch(np.arange(len(examples)))
    for row, (places, sentence) in enumerate(zip(examples.places, rows["words"], strict=True)):
        assert len(places) == len(sentence)
        read = places[places >= 0].tolist()  # of bytes there are more than are read
        assert sorted({*read}) == read
        assert (places[len(read) :] < 0).all()
        tokens = tokenizer.convert_ids_to_tokens(batch.inputs["input_ids"][row, read].tolist())
        assert [token.lstrip("Ġ")[:1] for token in tokens] == [word[0] for word in sentence[: len(read)]]


def test_a_batch_says_of_each_word_where_it_is_asked_and_what_is_right(words: Words) -> None:
    indices = np.array([3, 0, 5])
    batch = words.batch(indices, multiple=8)
    counts = [len(words.targets[index]) for index in indices]
    assert batch.targets.shape == (3, max(counts), 2)
    assert "word" not in batch.inputs
    for row, (index, count) in enumerate(zip(indices, counts, strict=True)):
        assert batch.targets[row, :count, 1].tolist() == words.targets[index].tolist()
        assert (batch.targets[row, count:] == NOTHING).all()
    assert words.terms[indices].tolist() == counts


def test_the_loss_is_the_sum_over_words_that_are_read_and_the_units_count_them(
    toy_tags: Callable[[str], Recipe],
) -> None:
    recipe = replace(toy_tags("bert"), task=TokenClassification(max_length=8))
    here = session(recipe)
    model, head = here.build(here.weights)
    assert head == ("classifier",)
    train = here.examples()["train"]
    chosen = np.arange(6)
    batch = train.batch(chosen)
    with torch.no_grad():
        logits_NTC = model.eval()(**batch.inputs).logits
        whole = recipe.task.loss(logits_NTC, batch)
        by_hand = 0.0
        assert train.places is not None
        for row, (places, tags) in enumerate(zip(train.places[chosen], train.targets[chosen], strict=True)):
            shares_TC = logits_NTC[row].log_softmax(-1)
            by_hand -= sum(float(shares_TC[p, tag]) for p, tag in zip(places, tags, strict=True) if p >= 0)
    read = int(recipe.task.units(train)[chosen].sum())
    assert float(whole) == pytest.approx(by_hand, rel=1e-5)
    assert read < sum(map(len, train.targets[chosen]))  # some were cut off
    assert 0.5 < float(whole) / read < 3.0  # of a guess among five about 1.6


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("family", ["bert", "roberta", "llama"])
def test_every_word_is_answered_once_and_alike_after_loading(
    toy_tags: Callable[[str], Recipe], tmp_path: Path, family: str, method: Method
) -> None:
    recipe = replace(toy_tags(family), method=method)
    result = run(recipe, out=tmp_path)
    assert (result.status, result.broken, result.labels, result.unseen) == ("done", (), TAGS, ())
    assert list(result.scores) == ["span_f1", "word_accuracy"]
    assert {each.n for each in result.scores.values()} == {30}
    assert (result.items, result.validation_loss) == (None, None)
    lines = outputs.read_lines((result.folder or tmp_path) / "predictions.jsonl")
    rows = session(recipe).splits().test
    tags = [[TAGS[tag] for tag in each] for each in rows["tags"]]
    assert [(line["id"], line["target"]) for line in lines] == list(zip(rows["id"], tags, strict=True))
    right = sum(a == b for line in lines for a, b in zip(line["target"], line["output"], strict=True))
    assert result.scores["word_accuracy"].value == pytest.approx(right / sum(map(len, tags)))
    again = load(result.folder or "")([" ".join(each) for each in rows["words"]])
    assert [list(each.tags) for each in again] == [line["output"] for line in lines]  # pyright: ignore


@pytest.mark.parametrize("family", [name for name in tiny.TEXT_FAMILIES if name not in ("bert", "roberta", "llama")])
def test_the_other_families_do_too(toy_tags: Callable[[str], Recipe], tmp_path: Path, family: str) -> None:
    result = run(replace(toy_tags(family), method=LoRA()), out=tmp_path)
    assert (result.status, result.broken) == ("done", ())


@pytest.mark.parametrize("method", [TOKEN, Full(optim=AdamW(learning_rate=3e-3))], ids=["frozen", "full"])
def test_it_learns_more_than_the_tag_that_most_words_have(
    toy_tags: Callable[[str], Recipe], tmp_path: Path, method: Method
) -> None:
    data, budget = ToyTags(train=300, test=60), Budget(epochs=8, batch_size=16)
    recipe = replace(toy_tags("bert"), data=data, method=method, budget=budget)
    result = run(recipe, out=tmp_path)
    splits = session(recipe).splits()
    most = Counter(tag for tags in splits.train["tags"] for tag in tags).most_common(1)[0][0]
    every = [tag for tags in splits.test["tags"] for tag in tags]
    low = result.scores["word_accuracy"].low
    assert low is not None
    assert low > every.count(most) / len(every) + 0.2
    assert result.scores["span_f1"].value > 0.3  # of the most frequent tag alone, which is O, it is 0


def test_the_same_recipe_twice_tells_the_same(toy_tags: Callable[[str], Recipe], tmp_path: Path) -> None:
    first, again = (run(toy_tags("bert"), out=tmp_path / name) for name in ("first", "again"))
    assert first.scores == again.scores


def test_words_that_were_cut_off_are_told_nothing_and_count_as_wrong(
    toy_tags: Callable[[str], Recipe], tmp_path: Path
) -> None:
    for method in (TOKEN, Full()):
        recipe = replace(toy_tags("bert"), task=TokenClassification(max_length=6), method=method)
        result = run(recipe, out=tmp_path)
        assert (result.status, result.broken) == ("done", ())
        examples, rows = session(recipe).examples()["test"], session(recipe).splits().test
        assert examples.places is not None
        cut = [int((places == UNREAD).sum()) for places in examples.places]
        # four tokens are left for words, and some words are three
        assert result.truncated["test"] >= sum(count > 0 for count in cut) > 0
        assert all(count >= len(each) - 4 for count, each in zip(cut, rows["words"], strict=True))
        lines = outputs.read_lines((result.folder or tmp_path) / "predictions.jsonl")
        assert [line["output"].count(None) for line in lines] == cut
        assert all(None not in line["output"][: len(line["output"]) - n] for line, n in zip(lines, cut, strict=True))
        every = sum(len(each) for each in rows["words"])
        right = sum(a == b for line in lines for a, b in zip(line["target"], line["output"], strict=True))
        assert result.scores["word_accuracy"].value == pytest.approx(right / every)
        assert result.scores["word_accuracy"].value <= 1 - sum(cut) / every


def test_a_span_that_was_cut_off_is_one_that_was_missed() -> None:
    targets = objects([np.array([1, 2, 0]), np.array([0, 3])])
    told = objects([np.array([1, 2, 0]), np.array([0, UNREAD])])
    found = TokenClassification().score(targets, told, TAGS)
    assert found["span_f1"].value == pytest.approx(2 * 1 / (1 + 2))
    assert found["word_accuracy"].value == pytest.approx(4 / 5)


def test_tags_that_make_no_spans_are_scored_by_words_alone() -> None:
    targets = objects([np.array([0, 1]), np.array([1, 1, 0])])
    found = TokenClassification().score(targets, targets, ("NOUN", "VERB"))
    assert list(found) == ["word_accuracy"]
    assert found["word_accuracy"].value == 1.0


@dataclass(frozen=True, kw_only=True)
class Given(Data):
    """Rows of a test, or something else in their place."""

    words: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[int, ...], ...]

    def fetch(self, progress: object) -> Fetched:
        return Fetched(path=Path(), sha256=repr(self))

    def load(self, fetched: Fetched) -> Rows:
        ids = [f"r{number}" for number in range(len(self.words))]
        words, tags = (list(map(list, each)) for each in (self.words, self.tags))
        rows = datasets.Dataset.from_dict({"id": ids, "words": words, "tags": tags})
        return Rows(train=rows, test=None, labels=TAGS)


def given(*sentences: str, tags: tuple[tuple[int, ...], ...] | None = None, times: int = 12) -> Given:
    words = tuple(tuple(each.split()) for each in sentences)
    return Given(words=words * times, tags=(tags or tuple(tuple(1 for _ in each) for each in words)) * times)


def test_a_word_that_the_tokenizer_makes_nothing_of_is_told_nothing_where_it_stands(
    toy_tags: Callable[[str], Recipe], tmp_path: Path
) -> None:
    data = Given(words=(("cat", "", "dog"), ("",)) * 12, tags=((1, 2, 2), (0,)) * 12)
    for method in (TOKEN, Full()):
        # one row a batch: of some no word is read at all, and nothing is learned of them
        recipe = replace(toy_tags("bert"), data=data, method=method, budget=Budget(epochs=1, batch_size=1))
        result = run(recipe, out=tmp_path)
        assert (result.status, result.broken) == ("done", ())
        lines = outputs.read_lines((result.folder or tmp_path) / "predictions.jsonl")
        assert {tuple(tag is None for tag in line["output"]) for line in lines} == {(False, True, False), (True,)}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (given("cat dog", "sun", tags=((1, 2), (0, 0))), r"row 'r\d+' has 1 words and 2 tags: each word must have one"),
        (given("cat dog", ""), r"row 'r\d+' has no words: a sentence to be tagged has at least one"),
        (ToyText(), "task TokenClassification tells tags of words, and the data has none: its rows have labels, among"),
        (
            ToyPairs(),
            "task TokenClassification tells tags of words, and the data has none: its rows have texts",
        ),
    ],
)
def test_rows_that_cannot_be_tagged_are_named(
    toy_tags: Callable[[str], Recipe], tmp_path: Path, data: Data, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        run(replace(toy_tags("bert"), data=data), out=tmp_path)


def test_rows_given_by_name_are_numbered_and_what_is_wrong_with_one_is_named() -> None:
    rows = to_tagged({"id": ["a"], "words": [["cat", "sun"]], "tags": [["B-animal", "O"]]}, TAGS, "mine")
    assert rows["tags"][:] == [[1, 0]]
    for words, tags, said in (
        (["cat"], ["B-anmial"], "mine: row 1: unknown tag 'B-anmial'; did you mean 'B-animal'"),
        (["cat"], [], "mine: row 1 has 1 words and 0 tags: each word must have one"),
        ([], [], "mine: row 1 has no words"),
        (["cat", None], ["O", "O"], "mine: row 1: word 2 or its tag is missing"),
    ):
        with pytest.raises(InputError) as caught:
            to_tagged({"id": ["a"], "words": [words], "tags": [tags]}, TAGS, "mine")
        assert str(caught.value).startswith(said)


def test_a_limit_that_leaves_no_word_is_refused(toy_tags: Callable[[str], Recipe], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not one word of \d+ rows is read: task\.max_length must leave room for so"):
        run(replace(toy_tags("bert"), task=TokenClassification(max_length=2)), out=tmp_path)


def test_words_are_no_texts_to_be_classified_or_translated(
    toy_tags: Callable[[str], Recipe], toy_pairs: Callable[[str], Recipe], tmp_path: Path
) -> None:
    for task, does in ((Classification(), "chooses among labels"), (Regression(), "says values")):
        words = f"{does}, and the data has none: its rows have tags of words, which TokenClassification tells"
        with pytest.raises(InputError, match=words):
            run(replace(toy_tags("bert"), task=task), out=tmp_path)
    with pytest.raises(InputError, match=r"task Translation writes .* with one as target; the data has tags of words"):
        run(replace(toy_pairs("marian"), data=ToyTags(), task=Translation()), out=tmp_path)


@pytest.mark.parametrize("family", ["marian", "t5", "vit"])
def test_a_checkpoint_without_a_head_of_tags_is_refused(
    writer: Callable[[str], Path],
    checkpoint: Callable[[str], Path],
    toy_tags: Callable[[str], Recipe],
    tmp_path: Path,
    family: str,
) -> None:
    folder = (checkpoint if family == "vit" else writer)(family)
    with pytest.raises(InputError, match=rf"task TokenClassification needs an encoder or .* \({family}\) is none"):
        run(replace(toy_tags("bert"), checkpoint=Local(str(folder))), out=tmp_path)


def test_the_majority_says_of_each_word_the_tag_that_most_have(
    toy_tags: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy_tags("bert"), method=Majority())
    splits, result = session(recipe).splits(), run(recipe, out=tmp_path)
    train, test = (np.concatenate(part["tags"][:]) for part in (splits.train, splits.test))
    assert result.scores["word_accuracy"].value == pytest.approx((test == np.bincount(train).argmax()).mean())
    assert result.scores["span_f1"].value == 0  # no tag of a span is the most frequent


def test_the_surface_of_a_word_is_scikit_learns_regression_of_the_piece_it_begins_with(
    toy_tags: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy_tags("bert"), method=Surface())
    examples = session(recipe).examples()
    pieces, tags = {}, {}
    for part in ("train", "test"):
        batch = examples[part].batch(np.arange(len(examples[part])))
        read = batch.targets[..., 0] >= 0
        pieces[part] = batch.inputs["input_ids"].gather(1, batch.targets[..., 0].clamp(min=0))[read].numpy()
        tags[part] = batch.targets[..., 1][read].numpy()
    one_hot = {part: np.eye(1000)[each] for part, each in pieces.items()}
    theirs = LogisticRegression(C=10.0, tol=1e-6, max_iter=10_000).fit(one_hot["train"], tags["train"])
    right = float((theirs.predict(one_hot["test"]) == tags["test"]).mean())
    found = run(recipe, out=tmp_path)
    assert right > 0.8
    assert found.scores["word_accuracy"].value == pytest.approx(right)


def test_a_piece_after_those_of_the_training_words_says_nothing() -> None:
    module = OfWords(5, 3)
    logits_NTC = module(input_ids=torch.tensor([[1, 4, 7, 900]])).logits
    assert logits_NTC.shape == (1, 4, 3)
    assert torch.equal(logits_NTC[0, 2:], module.linear.bias.expand(2, 3))
    assert torch.allclose(logits_NTC[0, 1], module.linear.weight[:, 4] + module.linear.bias)


def test_tags_are_dealt_out_among_all_words_and_nothing_is_left_to_learn(
    toy_tags: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy_tags("bert"), method=Surface())
    dealt = replace(recipe, name="dealt", data=Shuffled(of=recipe.data))
    plain, anew = (session(each).splits() for each in (recipe, dealt))
    for part in ("train", "validation"):
        before, after = (each[part]["tags"][:] for each in (plain, anew))
        assert list(map(len, before)) == list(map(len, after))
        assert Counter(np.concatenate(before).tolist()) == Counter(np.concatenate(after).tolist())
        assert before != after
    assert plain.test["tags"][:] == anew.test["tags"][:]
    found, learned = (run(each, out=tmp_path).scores["word_accuracy"].value for each in (dealt, recipe))
    assert found < learned - 0.2


def test_a_method_of_whole_examples_is_refused(toy_tags: Callable[[str], Recipe], tmp_path: Path) -> None:
    words = r"method \w+ has one answer for a whole example, .*; frozen with method\.pooling token does, and so do majo"
    with pytest.raises(InputError, match=words):
        run(replace(toy_tags("bert"), method=StockHead()), out=tmp_path)


def test_a_pooling_that_there_is_not_is_refused_both_ways(
    toy_tags: Callable[[str], Recipe], toy: Callable[[str], Recipe], tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"method\.pooling must be token where each word is told by itself, got 'mean'"
    ):
        run(replace(toy_tags("bert"), method=Frozen()), out=tmp_path)
    with pytest.raises(
        InputError, match=r"must be cls or mean or last where an example is told as a whole, got 'token'"
    ):
        run(replace(toy("bert"), method=TOKEN), out=tmp_path)


def test_a_frozen_layer_and_penalty_left_open_are_chosen_by_words(
    toy_tags: Callable[[str], Recipe], tmp_path: Path
) -> None:
    result = run(replace(toy_tags("bert"), method=Frozen(layer=None, pooling=None, penalty=None)), out=tmp_path)
    assert (result.status, result.broken) == ("done", ())
    assert result.choice is not None
    assert {place["pooling"] for place in result.choice["places"]} == {"token"}
    assert len(result.choice["places"]) == 3  # the embeddings and two blocks


def test_frozen_features_are_those_of_the_words_in_their_order(toy_tags: Callable[[str], Recipe]) -> None:
    recipe = replace(toy_tags("bert"), method=TOKEN, task=TokenClassification(max_length=8))
    material = session(recipe).material()
    trainee = recipe.method.trainee(material)
    body = material.build(material.weights)[0].base_model.eval()
    source, features = material.examples["test"], trainee.examples["test"]
    indices = np.array([4, 1])
    given_NSE = features.batch(indices).inputs["features"]
    assert source.places is not None
    with torch.no_grad():
        for row, index in enumerate(indices):
            hidden_TE = body(**source.batch(np.array([index])).inputs).last_hidden_state[0]
            places = [place for place in source.places[index].tolist() if place >= 0]
            torch.testing.assert_close(given_NSE[row, : len(places)], hidden_TE[places], rtol=0, atol=1e-5)


def test_a_finished_run_tags_from_python_and_from_the_command_line(
    toy_tags: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(
        toy_tags("bert"), data=ToyTags(train=300), method=Full(optim=AdamW(learning_rate=3e-3)), budget=Budget(epochs=8)
    )
    folder = str(run(recipe, out=tmp_path).folder)
    text = "sun cat  moon one two"
    (found,) = load(folder)([text])
    assert isinstance(found, Tagged)
    assert found.words == tuple(text.split())
    assert len(found.tags) == 5
    for span in found.spans:
        assert span.text == " ".join(found.words[span.begin : span.end])
        assert found.tags[span.begin] in (f"B-{span.kind}", f"I-{span.kind}")
    assert Span(text="cat", kind="animal", begin=1, end=2) in found.spans
    capsys.readouterr()
    assert cli.main(["predict", folder, text]) == 0
    assert "cat animal · " in capsys.readouterr().out
    assert cli.main(["predict", folder, text, "--format", "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert set(record) == {"input", "words", "tags", "spans", "truncated"}
    assert record["tags"] == list(found.tags)
    with pytest.raises(InputError, match="input 1 is empty, of which nothing can be said"):
        load(folder)([" "])


def test_what_it_will_take_is_told_before(toy_tags: Callable[[str], Recipe]) -> None:
    for method in (TOKEN, LoRA()):
        forecast = plan(replace(toy_tags("bert"), method=method))
        assert forecast.seconds["eval"] > 0
        assert forecast.rows == 54


def test_the_certificate_of_a_swapped_attention_holds(toy_tags: Callable[[str], Recipe]) -> None:
    for family in ("bert", "llama"):
        checks = certify(replace(toy_tags(family), attention=MultiHead()))
        assert [check for check in checks if not check.passed] == []


def test_a_text_to_look_at_is_divided_into_words(toy_tags: Callable[[str], Recipe]) -> None:
    seen = see(session(toy_tags("bert")), "cat dog sun")
    assert seen.inputs["input_ids"].shape == (1, 5)
    assert "word" not in seen.inputs


def test_what_is_of_one_label_an_example_is_refused(toy_tags: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = toy_tags("bert")
    with pytest.raises(
        InputError, match=r"split\.per_class is of labels, and these rows have none: leave it none, got"
    ):
        run(replace(recipe, split=Split(per_class=2)), out=tmp_path)
    result = run(recipe, out=tmp_path)
    assert result.folder is not None
    with pytest.raises(InputError, match="toy_bert has no labels, by whose names rows from elsewhere are chosen"):
        scored(Finished(recipe=recipe, result=result, folder=result.folder), ToyTags(train=61))


def test_words_are_told_where_tokens_are_hidden_anew_in_each_epoch(
    toy_tags: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(toy_tags("bert"), augmentation=DropTokens(probability=0.5))
    train = session(recipe).material().examples["train"]
    indices = np.arange(8)
    plain, drawn = train.batch(indices), train.drawn(0, 1).batch(indices)
    assert (plain.inputs["input_ids"] != drawn.inputs["input_ids"]).any()
    assert (plain.targets == drawn.targets).all()
    result = run(recipe, out=tmp_path)
    assert (result.status, result.broken, result.unseen) == ("done", (), ())


def test_sentences_of_test_that_are_in_train_are_counted(toy_tags: Callable[[str], Recipe]) -> None:
    here = session(replace(toy_tags("bert"), data=given("cat dog", "sun moon one", "two")))
    assert here.splits().test_rows_in_train == len(here.splits().test) > 0


def test_one_and_two_processes_tag_alike(toy_tags: Callable[[str], Recipe], tmp_path: Path) -> None:
    # without dropout, which is drawn otherwise in each process
    recipe = replace(toy_tags("bert"), method=LoRA(optim=AdamW(learning_rate=1e-2)))
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from finetune import AdamW, Budget, Local, LoRA, Recipe, TokenClassification\n"
        "from finetune.data.toy import ToyTags\n\n"
        f"recipe = Recipe(name='toy_bert', checkpoint={recipe.checkpoint!r}, data=ToyTags(), "
        "task=TokenClassification(), method=LoRA(optim=AdamW(learning_rate=1e-2)), "
        "budget=Budget(epochs=2, batch_size=16), precision='float32')\n\n"
        "if __name__ == '__main__':\n    from finetune.cli import launch\n\n    launch(__file__)\n"
    )
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    together = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launch, str(mine), "--out", str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=together)
    assert done.returncode == 0, done.stderr
    alone = run(recipe, out=tmp_path / "one").folder
    (record,) = (tmp_path / "two" / "toy_bert").glob("*/result.json")
    assert alone is not None
    assert record.parent.name == alone.name  # the same run
    assert json.loads(record.read_text())["environment"]["processes"] == 2
    one, two = (outputs.read_lines(folder / "predictions.jsonl") for folder in (alone, record.parent))
    assert one == two
    assert [line["id"] for line in one] == session(recipe).splits().test["id"][:]
    losses = ([line["loss"] for line in outputs.read_lines(each / "curve.jsonl")] for each in (alone, record.parent))
    assert next(losses) == pytest.approx(next(losses), rel=1e-4)
