"""Numbers instead of labels: solved, trained, scored and said in the data's unit; and what is no number is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from sklearn.linear_model import LinearRegression, Ridge
from transformers import AutoModelForSequenceClassification

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
    Regression,
    Result,
    Scratch,
    TextEncoder,
    Translation,
    Value,
    correlation,
    evaluate,
    load,
    outputs,
    resampling,
    run,
    stats,
)
from finetune.certify import certify
from finetune.cli import main
from finetune.controls import controls
from finetune.data import Data, Fetched, Rows, targets
from finetune.data.magnitudes import Magnitudes
from finetune.data.shuffled import Shuffled
from finetune.data.toy import WORDS, ToyImages, ToyPairs, ToyText
from finetune.elsewhere import check
from finetune.methods import Method
from finetune.methods.as_is import AsIs
from finetune.methods.majority import Majority
from finetune.methods.stock_head import StockHead
from finetune.methods.surface import Surface
from finetune.neighbours import averaged
from finetune.objective import LeastSquares
from finetune.plan import plan
from finetune.progress import Silent
from finetune.report.layers import layers
from finetune.report.tables import table
from finetune.session import Shelf, session
from finetune.transformer.tokenizers.words import Words

OPEN = Frozen(layer=None, pooling=None, penalty=None)


def prices(folder: Path, count: int = 100, unit: float = 1000.0, base: float = 50_000.0) -> Files:
    """A file of texts, each with a price: what its words are worth on the average."""
    words = [word for each in WORDS.values() for word in each]
    rng, lines = np.random.default_rng(0), ["name,text,price"]
    for number in range(count):
        chosen = rng.integers(len(words), size=rng.integers(3, 7))
        lines.append(f"row {number},{' '.join(words[each] for each in chosen)},{base + unit * float(chosen.mean())}")
    path = folder / f"prices-{unit:g}.csv"
    path.write_text("\n".join(lines) + "\n")
    return Files(train=str(path), value="price", id="name")


@pytest.fixture
def priced(toy: Callable[[str], Recipe], tmp_path: Path) -> Callable[[str], Recipe]:
    """A recipe about such rows for a tiny checkpoint of a family."""
    return lambda family: replace(toy(family), data=prices(tmp_path), task=Regression())


def features(count: int = 60, width: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features_NE = torch.randn(count, width, generator=generator)
    features_NE -= features_NE.mean(0)
    values_N = features_NE @ torch.arange(1.0, width + 1) + torch.randn(count, generator=generator)
    return features_NE, 500 + 20 * values_N.double()


def head(features_NE: torch.Tensor, values_N: torch.Tensor, penalty: float) -> tuple[torch.nn.Linear, LeastSquares]:
    objective = LeastSquares(float(values_N.mean()), float(values_N.std(correction=0)))
    found = torch.nn.Linear(features_NE.shape[1], 1)
    assert objective.solve(found, features_NE, values_N, penalty, Silent(), torch.Tensor.float) == 1
    return found, objective


@pytest.mark.parametrize("penalty", [5e-3, 0.3, 10.0])
def test_the_head_in_closed_form_is_the_ridge_that_scikit_learn_finds(penalty: float) -> None:
    features_NE, values_N = features()
    found, objective = head(features_NE, values_N, penalty)
    standardised_N = (values_N - objective.mean) / objective.deviation
    reference = Ridge(alpha=penalty / 2 * len(values_N)).fit(features_NE.double().numpy(), standardised_N.numpy())
    np.testing.assert_allclose(found.weight[0].detach().numpy(), reference.coef_, atol=1e-5)
    said_N = objective.values(found(features_NE).detach().numpy())
    expected_N = objective.mean + objective.deviation * reference.predict(features_NE.double().numpy())
    np.testing.assert_allclose(said_N, expected_N, atol=1e-5 * objective.deviation)


def test_its_loss_is_the_least_there_is() -> None:
    features_NE, values_N = features()
    found, objective = head(features_NE, values_N, 0.3)

    def loss() -> float:
        squares = float(found.weight.detach().square().sum())
        return objective.loss(found(features_NE).detach(), values_N) + 0.15 * squares

    least = loss()
    for parameter in (found.weight, found.bias):
        for step in (1e-2, -1e-2):
            with torch.no_grad():
                parameter[0] += step
                assert loss() > least
                parameter[0] -= step


def test_without_a_penalty_it_is_least_squares_also_where_features_repeat_each_other() -> None:
    features_NE, values_N = features()
    features_NE = torch.cat([features_NE, features_NE], dim=1)
    found, objective = head(features_NE, values_N, 0.0)
    expected_N = LinearRegression().fit(features_NE.double().numpy(), values_N.numpy()).predict(features_NE.numpy())
    np.testing.assert_allclose(objective.values(found(features_NE).detach().numpy()), expected_N, atol=0.05)


def test_neighbours_say_the_mean_of_their_values() -> None:
    known_ME, asked_NE = torch.tensor([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.3]]), torch.tensor([[2.0, 0.1]])
    assert averaged(known_ME, np.array([10.0, 20.0, 90.0]), asked_NE, 2).tolist() == [15.0]


@pytest.mark.parametrize("ties", [False, True], ids=["all different", "ties"])
def test_correlations_are_those_of_scipy(ties: bool) -> None:
    rng = np.random.default_rng(0)
    targets_N = rng.integers(0, 5, 200) / 5 if ties else rng.normal(size=200)
    outputs_N = (np.exp(targets_N) + rng.normal(size=200)).round(0 if ties else 6) * 1e-3 + 2024
    for ours, theirs in (
        (correlation.pearson, scipy_stats.pearsonr),
        (correlation.spearman, scipy_stats.spearmanr),
    ):
        assert ours(targets_N, outputs_N).value == pytest.approx(theirs(targets_N, outputs_N)[0], abs=1e-10)
    assert correlation.coefficient(targets_N, outputs_N) == correlation.pearson(targets_N, outputs_N).value


def test_every_draw_of_the_bootstrap_is_correlated_and_ranked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "DRAWS", 200)
    rng = np.random.default_rng(1)
    targets_N = rng.integers(0, 9, 30).astype(float)
    outputs_N = targets_N + rng.normal(size=30) * 4
    drawn_DN = np.random.default_rng(0).integers(30, size=(200, 30))
    for ours, theirs in (
        (correlation.pearson, scipy_stats.pearsonr),
        (correlation.spearman, scipy_stats.spearmanr),
    ):
        again = [theirs(targets_N[each_N], outputs_N[each_N])[0] for each_N in drawn_DN]
        found = ours(targets_N, outputs_N)
        assert (found.low, found.high) == pytest.approx(tuple(np.percentile(again, [2.5, 97.5])), abs=1e-10)
        assert found.n == 30
    whole = correlation.spearman(targets_N, outputs_N)
    monkeypatch.setattr(resampling, "CELLS", 30 * 7)  # seven draws at a time
    assert correlation.spearman(targets_N, outputs_N) == whole


@pytest.mark.parametrize("score", [correlation.pearson, correlation.spearman])
def test_what_tells_nothing_apart_has_a_correlation_of_0(score: Callable[..., stats.Estimate]) -> None:
    varied_N, equal_N = np.arange(6.0), np.full(6, 0.1)
    assert score(varied_N, equal_N) == score(equal_N, varied_N) == stats.Estimate(0.0, 0.0, 0.0, 6)
    assert score(varied_N[:1], varied_N[:1]) == stats.Estimate(0.0, None, None, 1)
    assert score(varied_N, varied_N).value == 1.0


def test_a_magnitude_is_the_logarithm_of_a_number_in_words() -> None:
    from num2words import num2words

    data = Magnitudes(language="es", train=200, test=50)
    found = data.load(data.fetch(Silent()))
    assert found.test is not None
    assert found.labels == ()
    for name, text, value in zip(*(found.train[column][:] for column in ("id", "text", "value")), strict=True):
        assert text == num2words(int(name), lang="es")
        assert 10**value == pytest.approx(int(name))
    assert {len(name) for name in found.train["id"]} == {3, 4, 5, 6}
    assert len({*found.train["id"], *found.test["id"]}) == 250
    again = data.load(data.fetch(Silent()))
    assert again.train.to_dict() == found.train.to_dict()
    sums = {each.fetch(Silent()).sha256 for each in (data, replace(data, seed=1), replace(data, language="en"))}
    assert len(sums) == 3


def test_small_numbers_are_as_frequent_in_test_rows_as_in_those_that_are_trained_on() -> None:
    data = Magnitudes(below=10_000, train=3000, test=1000)
    found = data.load(data.fetch(Silent()))
    assert found.test is not None
    train, test = (np.mean([value < 3 for value in part["value"]]) for part in (found.train, found.test))
    assert 0.2 < train < 0.25  # all 900 of them
    assert abs(train - test) < 0.04


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"train": 900, "test": 200, "below": 2000}, "are 1100 different numbers together; they must be at most half"),
        ({"test": 0}, "data.test must be at least 1, got 0"),
        ({"below": 1000}, "data.below must be above 1000, got 1000"),
        ({"seed": -1}, "data.seed must be in [0, 2**32), got -1"),
    ],
)
def test_magnitudes_that_cannot_be_are_refused(fields: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        Magnitudes(**fields)  # pyright: ignore[reportArgumentType]


def test_a_language_that_nobody_spells_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown language of data\.language 'ess'; did you mean 'es'\?"):
        Magnitudes(language="ess").fetch(Silent())


@pytest.mark.usefixtures("own_cache")
def test_an_encoder_from_scratch_learns_magnitudes_better_than_their_mean(tmp_path: Path) -> None:
    data = Magnitudes(train=500, test=100)
    recipe = Recipe(
        name="magnitudes",
        checkpoint=Blank(system=TextEncoder(width=32, heads=2, layers=2, inner=64), tokenizer=Words(), texts=data),
        data=data,
        task=Regression(),
        method=Scratch(optim=AdamW(learning_rate=3e-3)),
        budget=Budget(epochs=10, batch_size=32),
        precision="float32",
    )
    mean, learned = (run(replace(recipe, method=each), out=tmp_path) for each in (Majority(), recipe.method))
    assert (learned.status, learned.broken) == ("done", ())
    assert list(learned.scores) == ["pearson", "spearman", "mae"]
    assert learned.scores["pearson"].value > 0.9
    assert learned.scores["mae"].value < 0.5 * mean.scores["mae"].value
    assert learned.folder is not None
    small, large = load(learned.folder)(["one hundred and two", "seven hundred and ten thousand, and six"])
    assert isinstance(small, Value)
    assert isinstance(large, Value)
    assert small.value < 3.3 < 4.7 < large.value


EVERY = [Frozen(), OPEN, LoRA(), Full(), LastLayers(layers=1), AsIs(), Majority(), Surface(), StockHead()]


@pytest.mark.parametrize("method", EVERY, ids=lambda method: type(method).__name__)
def test_every_method_says_values_in_the_datas_unit_and_the_same_after_loading(
    priced: Callable[[str], Recipe], tmp_path: Path, method: Method
) -> None:
    recipe = replace(priced("bert"), method=method)
    result = run(recipe, out=tmp_path)
    assert (result.status, result.broken) == ("done", ())
    assert (result.items, result.labels, result.unseen, result.validation_loss) == (None, (), (), None)
    assert list(result.scores) == ["pearson", "spearman", "mae"]
    assert result.folder is not None
    lines, rows = outputs.read_lines(result.folder / "predictions.jsonl"), session(recipe).splits().test
    assert [(line["id"], line["target"]) for line in lines] == list(zip(rows["id"], rows["value"], strict=True))
    said_N = np.array([line["output"] for line in lines])
    assert (np.abs(said_N - 54_500) < 20_000).all()
    error = np.abs(said_N - np.array(rows["value"][:])).mean()
    assert result.scores["mae"].value == pytest.approx(error)
    found = load(result.folder)(rows["text"][:])
    np.testing.assert_allclose([each.value for each in found], said_N, rtol=1e-6)  # pyright: ignore
    assert not any(each.truncated for each in found)
    assert Result.from_json(json.loads((result.folder / "result.json").read_text())).values == result.values


@pytest.mark.parametrize("method", [Frozen(), Surface()], ids=["frozen", "surface"])
def test_a_head_that_is_solved_for_finds_what_words_are_worth(
    priced: Callable[[str], Recipe], tmp_path: Path, method: Method
) -> None:
    recipe = replace(priced("bert"), data=prices(tmp_path, 300))
    floor, found = (run(replace(recipe, method=each), out=tmp_path) for each in (Majority(), method))
    assert floor.scores["pearson"].value == 0
    assert found.scores["pearson"].value > 0.8
    assert found.scores["mae"].value < floor.scores["mae"].value


@pytest.mark.parametrize("family", ["roberta", "distilbert", "gpt2", "llama"])
def test_every_kind_of_head_says_values(priced: Callable[[str], Recipe], tmp_path: Path, family: str) -> None:
    for method in (Full(), LoRA()):
        assert run(replace(priced(family), method=method), out=tmp_path).broken == ()


@dataclass(frozen=True, kw_only=True)
class Redness(Data):
    """Squares, each with how red it is."""

    def fetch(self, progress: Silent) -> Fetched:
        return ToyImages(train=60, test=20).fetch(progress)

    def load(self, fetched: Fetched) -> Rows:
        rows = ToyImages(train=60, test=20).load(fetched)
        assert rows.test is not None
        return Rows(train=self._red(rows.train), test=self._red(rows.test), labels=())

    @staticmethod
    def _red(rows: datasets.Dataset) -> datasets.Dataset:
        red = [float(np.asarray(image)[..., 0].mean()) for image in rows["image"]]
        return rows.remove_columns("label").add_column("value", red)  # pyright: ignore[reportCallIssue]


def test_images_have_values_too(toy: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = replace(toy("vit"), data=Redness(), task=Regression(), method=Frozen())
    result = run(recipe, out=tmp_path)
    assert result.broken == ()
    assert result.scores["pearson"].value > 0.9
    images = recipe.data.load(recipe.data.fetch(Silent())).train["image"][:2]
    assert len(load(result.folder or "", recipe=recipe)(images)) == 2


def test_bfloat16_does_not_break_it(priced: Callable[[str], Recipe], tmp_path: Path) -> None:
    result = run(replace(priced("bert"), precision="bfloat16"), out=tmp_path)
    assert (result.status, result.broken) == ("done", ())


def test_the_same_rows_in_another_unit_come_to_the_same_model(priced: Callable[[str], Recipe], tmp_path: Path) -> None:
    logits, scores = [], []
    for unit, base in ((1000.0, 50_000.0), (1e-6, -1e-3)):
        result = run(replace(priced("bert"), data=prices(tmp_path, unit=unit, base=base)), out=tmp_path)
        lines = outputs.read_lines((result.folder or tmp_path) / "predictions.jsonl")
        logits.append({line["id"]: line["logits"][0] for line in lines})
        scores.append(result.scores)
    assert list(logits[0]) == list(logits[1])
    np.testing.assert_allclose(list(logits[0].values()), list(logits[1].values()), atol=1e-3)
    assert scores[0]["pearson"].value == pytest.approx(scores[1]["pearson"].value, abs=1e-3)
    assert scores[0]["mae"].value == pytest.approx(1e9 * scores[1]["mae"].value, rel=1e-2)


def test_a_saved_model_says_how_logits_become_values(priced: Callable[[str], Recipe], tmp_path: Path) -> None:
    recipe = priced("bert")
    folder = run(recipe, out=tmp_path).folder
    assert folder is not None
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model").eval()
    assert (model.config.problem_type, model.config.num_labels) == ("regression", 1)
    here = session(recipe)
    assert here.facts().values == (model.config.standardised["mean"], model.config.standardised["deviation"])
    found = evaluate.predict(model, here.examples()["test"], here.accelerator)
    said = [line["output"] for line in outputs.read_lines(folder / "predictions.jsonl")]
    values_N = model.config.standardised["mean"] + model.config.standardised["deviation"] * found.responses[:, 0]
    np.testing.assert_allclose(values_N, said, rtol=1e-5)


def test_mean_and_deviation_are_those_of_the_rows_that_are_trained_on_or_as_they_are_given(
    priced: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = priced("bert").override(["split.train_rows=20"])
    here = session(recipe)
    values_N = targets(here.splits().train)
    assert len(values_N) == 20
    assert here.facts().values == (values_N.mean(), values_N.std())
    assert session(recipe).task == Regression(mean=values_N.mean(), deviation=values_N.std())
    given = Regression(mean=0.0, deviation=1e5)
    assert session(replace(recipe, task=given)).task == given
    assert session(replace(recipe, task=Regression(mean=3.0))).task == Regression(mean=3.0, deviation=values_N.std())
    assert load(run(replace(recipe, task=given), out=tmp_path).folder or "").recipe.task == given


def test_rows_with_values_are_one_class_of_which_a_smaller_cap_takes_some_of_a_larger(
    priced: Callable[[str], Recipe],
) -> None:
    few, more = (session(priced("bert").override([f"split.train_rows={count}"])).splits().train for count in (10, 30))
    assert set(few["id"]) < set(more["id"])
    with pytest.raises(InputError, match=r"split\.per_class is of labels, and these rows have none"):
        session(priced("bert").override(["split.per_class=4"])).splits()


@pytest.mark.parametrize(
    ("task", "data", "words"),
    [
        (Regression(), ToyText(), "task Regression says values, and the data has none: its rows have labels, among w"),
        (Regression(), ToyPairs(), "task Regression says values, and the data has none"),
        (Classification(), None, "task Classification chooses among labels, and the data has none: its rows have val"),
        (Translation(), None, "task Translation writes texts and needs rows with one as target; the data has values"),
    ],
    ids=["labels", "texts", "values for classes", "values for texts"],
)
def test_rows_of_another_kind_are_refused_also_where_they_are_encoded_already(
    priced: Callable[[str], Recipe],
    writer: Callable[[str], Path],
    tmp_path: Path,
    task: Any,
    data: Data | None,
    words: str,
) -> None:
    recipe = replace(priced("bert"), task=task, data=data or prices(tmp_path))
    if isinstance(task, Translation):
        recipe = replace(recipe, checkpoint=replace(recipe.checkpoint, folder=str(writer("t5"))))  # pyright: ignore
    for _ in range(2):
        with pytest.raises(InputError, match=re.escape(words)):
            run(recipe, out=tmp_path)


def test_values_that_a_regression_has_encoded_are_no_labels(priced: Callable[[str], Recipe], tmp_path: Path) -> None:
    run(priced("bert"), out=tmp_path)
    with pytest.raises(InputError, match="task Classification chooses among labels, and the data has none"):
        run(replace(priced("bert"), task=Classification()), out=tmp_path)


@dataclass(frozen=True, kw_only=True)
class Given(Data):
    """Rows with these values."""

    values: tuple[float, ...]

    def fetch(self, progress: Silent) -> Fetched:
        return replace(ToyText().fetch(progress), sha256=f"{self.values} {id(self)}")

    def load(self, fetched: Fetched) -> Rows:
        names = [f"row {number}" for number in range(len(self.values))]
        columns = {"id": names, "text": names, "value": [None if math.isinf(each) else each for each in self.values]}
        return Rows(train=datasets.Dataset.from_dict(columns), test=None, labels=())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((1.0,) * 30, "all training rows have the value 1: where nothing differs, nothing is learned"),
        ((0.1,) * 30, "all training rows have the value 0.1: where nothing differs, nothing is learned"),
    ],
)
def test_values_that_do_not_differ_are_refused(
    toy: Callable[[str], Recipe], tmp_path: Path, values: tuple[float, ...], words: str
) -> None:
    recipe = replace(toy("bert"), data=Given(values=values), task=Regression())
    with pytest.raises(InputError, match=re.escape(words)):
        run(recipe, out=tmp_path)


def test_a_value_that_is_no_number_is_named_with_its_row(toy: Callable[[str], Recipe]) -> None:
    numbers = tuple(map(float, range(30)))
    data = Given(values=(*numbers, math.inf))  # which stands for none
    with pytest.raises(InputError, match=r"the value of row 'row 30' must be a finite number, got None"):
        targets(data.load(data.fetch(Silent())).train)
    rows = datasets.Dataset.from_dict({"id": ["a", "b"], "value": [1.0, math.nan]})
    with pytest.raises(InputError, match=r"the value of row 'b' must be a finite number, got nan"):
        targets(rows)
    with pytest.raises(InputError, match=r"the value of row 'row 30' must be a finite number, got None"):
        session(replace(toy("bert"), data=data, task=Regression())).material()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"deviation": 0.0}, "task.deviation must be above 0 and finite, or none, got 0.0"),
        ({"mean": -math.inf}, "task.mean must be finite or none, got -inf"),
        ({"image_size": 0}, "task.image_size must be at least 1 pixel, got 0"),
    ],
)
def test_a_regression_that_cannot_be_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        Regression(**fields)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,price\na,1\nb,cheap\n", r"column 'price' must hold finite numbers, .* and line 3 has 'cheap'"),
        ("text,price\na,1\nb,nan\n", r"column 'price' must hold finite numbers, .* and line 3 has 'nan'"),
        ('text,price\na,"1,5"\nb,2\n', r"column 'price' must hold finite numbers, such as 3\.5, and line 2 has '1,5'"),
        ("text,price\na,1\nb,\n", r"column 'price' is empty in 1 rows \(line 3\)"),
        ("text,cost\na,1\n", r"no column for data\.value: unknown column 'price'"),
    ],
)
@pytest.mark.usefixtures("own_cache")
def test_a_file_whose_values_are_no_numbers_is_named_with_the_place(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "rows.csv").write_text(content)
    data = Files(train=str(tmp_path / "rows.csv"), value="price")
    with pytest.raises(InputError, match=words):
        data.load(data.fetch(Silent()))


@pytest.mark.usefixtures("own_cache")
def test_values_of_a_file_are_read_as_they_are_written_and_make_another_data_set(tmp_path: Path) -> None:
    lines = [{"text": "a", "label": "x", "n": 7}, {"text": "b", "label": "y", "n": -1.5}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    labels = Files(train=str(tmp_path / "rows.jsonl"))
    values = replace(labels, value="n")
    rows = values.load(values.fetch(Silent())).train
    assert targets(rows).tolist() == [7.0, -1.5]
    assert "label" not in rows.column_names
    assert values.fetch(Silent()).sha256 != labels.fetch(Silent()).sha256
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=r"data\.value is of files of rows and has no meaning for the folder photos"):
        replace(values, train=str(tmp_path / "photos")).fetch(Silent())


def test_a_finished_run_tells_values_on_the_command_line(
    priced: Callable[[str], Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(run(replace(priced("bert"), method=Frozen()), out=tmp_path).folder)
    (expected,) = load(folder)(["cat dog"])
    assert isinstance(expected, Value)
    assert main(["predict", folder, "cat dog"]) == 0
    assert capsys.readouterr().out.split() == ["cat", "dog", f"{expected.value:.6g}"]
    assert main(["predict", folder, "cat dog", "--format", "json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said == {"input": "cat dog", "value": expected.value, "truncated": False}


def test_controls_of_values_are_the_mean_a_surface_shuffled_values_and_random_weights(
    priced: Callable[[str], Recipe], tmp_path: Path
) -> None:
    recipe = replace(priced("bert"), method=Frozen())
    mean, *others = (run(each, out=tmp_path) for each in controls([recipe]))
    assert [each.status for each in others] == ["done"] * 3
    assert mean.values is not None
    here = session(recipe)
    apart_N = targets(here.splits().test) - targets(here.splits().train).mean()
    assert mean.scores["mae"].value == pytest.approx(np.abs(apart_N).mean())
    assert mean.scores["pearson"] == stats.Estimate(0.0, 0.0, 0.0, 20)
    plain, dealt = (
        session(replace(recipe, data=data)).splits().train for data in (recipe.data, Shuffled(of=recipe.data))
    )
    assert sorted(plain["value"]) == sorted(dealt["value"])
    assert plain["value"][:] != dealt["value"][:]


def test_a_table_has_the_correlation_in_percent_the_error_in_its_unit_and_no_verdict(
    priced: Callable[[str], Recipe], tmp_path: Path
) -> None:
    results = [run(replace(priced("bert"), method=Frozen(), seed=seed), out=tmp_path) for seed in range(2)]
    found = table(results)
    row = dict(zip(found.header, found.rows[0], strict=True))
    assert row["score"] == "pearson"
    assert row["value %"] == f"{100 * results[0].scores['pearson'].value:.2f}"
    off = results[0].scores["mae"]
    told = f"toy_bert frozen {off.value:.3g} ({off.low:.3g} to {off.high:.3g})"
    assert f"mean absolute error, in the unit of the values (95 % interval over test rows alone): {told}" in found.notes
    unfit = "no verdict on toy_bert frozen: pearson has no score for each test row"
    assert any(each.startswith(unfit) for each in found.notes)


def test_every_layer_pooling_and_penalty_is_tried_and_the_best_kept(
    priced: Callable[[str], Recipe], tmp_path: Path
) -> None:
    swept = run(replace(priced("bert"), method=OPEN), out=tmp_path)
    assert swept.choice is not None
    assert swept.choice["loss"] == min(each["loss"] for each in swept.choice["tried"])
    assert len(swept.choice["places"]) == 9
    assert {each["penalty"] for each in swept.choice["tried"]} == set(LeastSquares.penalties)
    assert max(each["ridge"] for each in swept.choice["places"]) > 0.5
    named = run(replace(priced("bert"), method=OPEN.settled(swept.choice)), out=tmp_path)
    assert named.scores == swept.scores
    assert "cls ridge %" in layers([swept]).header


def test_a_plan_and_a_certificate_are_made_of_values_too(priced: Callable[[str], Recipe]) -> None:
    assert plan(priced("bert")).seconds["train"] > 0
    assert all(each.passed for each in certify(replace(priced("bert"), attention=MultiHead())))


def test_elsewhere_asks_for_labels_and_says_so_before_anything_is_run(
    priced: Callable[[str], Recipe], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="toy_bert has no labels: by their names rows from elsewhere are chosen, and"):
        check(priced("bert"), on=prices(tmp_path), reference=None, progress=Silent(), shelf=Shelf())


def test_a_record_of_before_there_were_values_is_read(priced: Callable[[str], Recipe], tmp_path: Path) -> None:
    stored = run(priced("bert"), out=tmp_path).to_json()
    del stored["values"]
    assert Result.from_json(stored).values is None
