"""The studies show what the papers say, at sizes of a second; and their numbers never come without an interval."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from finetune import InputError, axes, cli, stats, studies
from finetune.points import Points, Quantity, Series
from finetune.report import curves, records
from finetune.report.studies import estimate, study
from finetune.studies import Study, coverage, depth, gradients, padding, scale
from finetune.studies.coverage import Coverage
from finetune.studies.depth import Depth
from finetune.studies.gradients import Gradients
from finetune.studies.padding import Padding
from finetune.studies.scale import Scale
from finetune.transformer.coverage import coverage as covering
from finetune.transformer.tokenizers.characters import Characters
from finetune.transformer.tokenizers.jamo import Jamo

TABLES = Path(__file__).parents[1] / "outputs" / "tables"
SMALL: dict[str, Study] = {
    "scale": Scale(widths=(8, 128), queries=32, keys=16),
    "gradients": Gradients(length=64, texts=4, width=16),
    "padding": Padding(texts=6, width=16, padding=(1, 16), neighbours=(1, 4)),
    "coverage": Coverage(languages=("ko", "en"), news=None, training=(20, 100), held_out=30),
    "depth": Depth(depths=(2, 24), width=32, texts=16, length=8),
}


@pytest.fixture(scope="module")
def found() -> dict[str, Points]:
    return {name: each.over(3) for name, each in SMALL.items()}


def means(points: Points, quantity: str) -> dict[tuple[str, str, float], float]:
    what = next(each for each in points.quantities if each.name == quantity)
    return {(each.panel, each.line, each.at): estimate(each, what).value for each in points.series}


def test_every_study_is_held_to_the_contract() -> None:
    assert set(axes.every(studies, Study)) == {type(each) for each in SMALL.values()}


@pytest.mark.parametrize("name", SMALL)
def test_every_number_has_its_seeds_and_its_interval(name: str, found: dict[str, Points]) -> None:
    points = found[name]
    assert all(len(each.values[what.name]) == 3 for each in points.series for what in points.quantities)
    estimates = [estimate(each, what) for each in points.series for what in points.quantities]
    assert all(each.low is not None and each.low <= each.value <= (each.high or 0) for each in estimates)
    assert len(study(points).rows) == len(points.series)
    assert {row[study(points).header.index("seeds")] for row in study(points).rows} == {"3"}


@pytest.mark.parametrize("name", SMALL)
def test_a_seed_gives_the_same_numbers_again_and_another_others(name: str, found: dict[str, Points]) -> None:
    before = torch.random.get_rng_state()
    again = SMALL[name].over(3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert again.series == found[name].series
    assert any(len({*numbers}) == 3 for each in again.series for numbers in each.values.values())


def test_the_entropy_of_unscaled_scores_falls_with_their_width_and_that_of_scaled_ones_does_not(
    found: dict[str, Points],
) -> None:
    entropy = means(found["scale"], scale.ENTROPY)
    assert entropy["", "unscaled", 128] < 0.5 * entropy["", "unscaled", 8]
    assert abs(entropy["", "scaled", 128] - entropy["", "scaled", 8]) < 5
    of_scores = means(found["scale"], scale.OF_SCORES)
    assert of_scores["", "unscaled", 128] < 0.1 * of_scores["", "scaled", 128]
    assert of_scores["", "scaled", 128] > 0.5 * of_scores["", "scaled", 8]


@pytest.mark.parametrize("name", scale.CORES)
def test_the_steps_that_are_looked_between_are_the_cores_own_call(name: str) -> None:
    core = scale.CORES[name]
    q, k, v, towards = (torch.randn(1, 1, rows, 16, dtype=torch.float64) for rows in (5, 7, 7, 5))
    q.requires_grad_()
    context, weights = core(q, k, v, need_weights=True)
    assert weights is not None
    (context * towards / towards.norm(dim=-1, keepdim=True)).sum().backward()
    assert q.grad is not None
    values = scale.measured(core, q.detach(), k, v, towards)
    assert values[scale.OF_QUERIES] == pytest.approx(float(q.grad.norm(dim=-1).median()))
    entropy = -(weights * weights.log()).sum(-1).mean() / torch.tensor(7.0).log()
    assert values[scale.ENTROPY] == pytest.approx(100 * float(entropy.detach()), rel=1e-5)


def test_the_gradient_of_an_rnn_vanishes_and_that_of_attention_does_not(found: dict[str, Points]) -> None:
    share = means(found["gradients"], gradients.SHARE)
    assert share["", "rnn", 64] < 1e-3
    assert share["", "lstm", 64] < 1e-3  # its gates are half closed when nothing is learned
    for system in (gradients.REMEMBERS, "lstm, attention", "transformer"):
        assert share["", system, 64] > 1e-2


def test_a_gradient_by_distance_is_what_moving_an_embedding_changes() -> None:
    torch.manual_seed(0)
    study = Gradients(length=4, texts=1, width=8)
    network, ids, said = gradients.drawn(study.systems["lstm"]), torch.tensor([[3, 4, 5, 6]]), torch.tensor([7])
    norms = gradients.by_distance(network, ids, said)
    embed = network.get_submodule("model.net.source")

    def loss(step: torch.Tensor) -> float:
        handle = embed.register_forward_hook(lambda *called: called[-1] + step)
        with torch.no_grad():
            logits = network(ids, decoder_input_ids=torch.tensor([[1]])).logits[:, -1]
        handle.remove()
        return float(torch.nn.functional.cross_entropy(logits, said))

    for distance in range(1, 5):
        slopes = []
        for feature in range(8):
            step = torch.zeros(1, 4, 8, dtype=torch.float64)
            step[0, -distance, feature] = 1e-5
            slopes.append((loss(step) - loss(-step)) / 2e-5)
        assert float(norms[distance - 1]) == pytest.approx(float(torch.tensor(slopes).norm()), rel=1e-5)


def test_padding_moves_nothing_behind_a_layer_norm_and_everything_behind_a_batch_norm_that_counts_it(
    found: dict[str, Points],
) -> None:
    moved = means(found["padding"], padding.MOVED)
    assert moved[padding.PADDING, "layer", 16] == 0
    assert moved[padding.PADDING, "batch, masked", 16] < 1e-3
    assert moved[padding.PADDING, "batch", 16] > 10
    assert moved[padding.PADDING, "batch", 16] > moved[padding.PADDING, "batch", 1]
    assert moved[padding.NEIGHBOURS, "layer", 4] == 0
    assert moved[padding.NEIGHBOURS, "batch, masked", 4] > 10  # a mask is no help against neighbours


def test_no_letter_of_a_korean_number_is_unknown_while_words_are(found: dict[str, Points]) -> None:
    unknown, length = (means(found["coverage"], name) for name in (coverage.UNKNOWN, coverage.LENGTH))
    for rows in (20, 100):
        assert unknown["numbers ko", "jamo", rows] == unknown["numbers ko", "byte_pair", rows] == 0
        assert unknown["numbers ko", "words", rows] > 10
    assert unknown["numbers en", "words", 100] < unknown["numbers ko", "words", 100]
    assert length["numbers ko", "jamo", 100] > 1.5 > length["numbers ko", "characters", 100] == 1


def test_every_letter_of_a_korean_name_is_known_while_many_of_its_syllables_are_not(found: dict[str, Points]) -> None:
    unknown, covered = (means(found["coverage"], name) for name in (coverage.UNKNOWN, coverage.COVERED))
    for rows in (20, 100):
        assert unknown["names ko", "characters", rows] > 3 * unknown["names ko", "jamo", rows]
        assert unknown["names ko", "jamo", rows] > 0  # digits, and Latin letters and signs of units
        assert unknown["names ko", "byte_pair", rows] == 0
        assert unknown["names en", "characters", rows] == unknown["names en", "jamo", rows]
    assert unknown["names ko", "characters", 100] > 10 > 1 > unknown["numbers ko", "characters", 100]
    assert unknown["names ko", "characters", 100] > 3 * unknown["names en", "characters", 100]
    assert covered["names ko", "word_piece", 100] < 70  # a word with one unknown letter is lost as a whole
    train, test = dict(Coverage(languages=("ko",), news=None, training=(20,)).texts(0))["names ko"]
    korean = ["".join(letter for letter in text if "가" <= letter <= "힣" or letter == " ") for text in test]
    assert covering(Jamo().train(train), korean).unknown.value == 0
    assert covering(Characters().train(train), korean).unknown.value > 0.3


def test_what_is_tested_is_in_no_training_text_and_names_are_of_the_same_in_each_language() -> None:
    study = Coverage(news=None, below=10_000, training=(10, 1000))
    first, second = dict(study.texts(0)), dict(study.texts(1))
    assert set(first) == {f"{what} {language}" for what in ("numbers", "names") for language in ("ko", "es", "en")}
    for panel, (train, test) in first.items():
        assert (len(train), len(test)) == (1000, 300)
        assert len({*train, *test}) == 1300
        assert test != second[panel][1]
    fewer = Coverage(languages=study.languages, news=None, below=10_000, training=(10,))
    assert dict(fewer.texts(0)) == {panel: (train[:10], test) for panel, (train, test) in first.items()}
    together = [
        names
        for texts in (first, second)
        for part in (0, 1)
        for names in zip(*(texts[f"names {language}"][part] for language in study.languages), strict=True)
    ]
    assert {names for names in together if "스페인" in names} == {("스페인", "España", "Spain")}
    assert {names for names in together if "킬로미터" in names} == {("킬로미터", "kilómetros", "kilometers")}
    assert len({letter for names in together for letter in names[0] if "가" <= letter <= "힣"}) > 400


def test_of_deep_stacks_it_is_the_last_block_that_moves_most_with_norms_after_and_the_first_with_norms_before(
    found: dict[str, Points],
) -> None:
    ratio, last = (means(found["depth"], name) for name in (depth.RATIO, depth.LAST))
    assert ratio["", "post", 24] < 0.5 * ratio["", "pre", 24]
    assert ratio["", "pre", 24] > 1
    assert last["", "post", 24] > 2 * last["", "pre", 24]


def test_a_mean_of_powers_of_ten_is_geometric() -> None:
    found = stats.geometric(torch.tensor([1e-8, 1e-6, 1e-4]).double().numpy())
    assert found.value == pytest.approx(1e-6)
    assert found.low is not None
    assert found.high is not None
    assert found.high / found.value == pytest.approx(found.value / found.low)
    assert found.high / found.value == pytest.approx(10 ** (4.302653 * 2 / 3**0.5), rel=1e-5)  # two degrees of freedom
    assert stats.geometric(torch.tensor([1.0, 0.0]).numpy()) == stats.Estimate(0.0, None, None, 2)


def test_no_interval_says_what_cannot_be() -> None:
    series = Series(
        panel="", line="words", at=10.0, values={"unknown, %": [0.0, 0.0, 1.0], "known, %": [100.0, 99, 100]}
    )
    unknown = estimate(series, Quantity(name="unknown, %", least=0, most=100))
    known = estimate(series, Quantity(name="known, %", least=0, most=100))
    assert (unknown.low, known.high) == (0, 100)
    unbound = estimate(series, Quantity(name="unknown, %"))
    assert unbound.low is not None
    assert unbound.low < 0
    assert unbound.high == unknown.high


def test_what_is_saved_is_the_table_again_and_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", "widths=8,16", "--set", "queries=8"]
    picture, out = tmp_path / "scale.svg", ["--out", str(tmp_path), "--format", "markdown"]
    assert cli.main(["study", "scale", "--seeds", "3", *settings, *out, "--save", "--figure", str(picture)]) == 0
    said = capsys.readouterr().out
    assert said == (tmp_path / "tables" / "study-scale.md").read_text() + f"drawn: {picture}\n"
    assert "| unscaled    |    16 |       3 |" in said
    assert picture.read_text().startswith("<?xml")
    again = tmp_path / "again.svg"
    assert cli.main(["tables", "study-scale", "--by", "study", *out, "--figure", str(again)]) == 0
    assert capsys.readouterr().out == said.replace(str(picture), str(again))
    assert again.read_text().startswith("<?xml")


@pytest.mark.parametrize("name", [each.stem for each in sorted(TABLES.glob("study-*.json"))])
def test_a_committed_table_is_made_of_its_record(name: str) -> None:
    (points,) = records.read(TABLES, name, Points)
    assert study(points).markdown() + "\n" == (TABLES / f"{name}.md").read_text(encoding="utf-8")
    assert points.seeds >= 3
    assert curves.studied(points).axes
    kind = axes.find(studies, points.name, Study)
    default = json.loads(json.dumps({each: getattr(kind(), each) for each in points.settings}))  # pyright: ignore
    assert points.settings == default, "measured at other defaults than those of now"


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["sclae"], "unknown study 'sclae'; did you mean 'scale'?"),
        (["scale", "--seeds", "2"], "--seeds must be at least 3, for an interval of the mean over them, got 2"),
        (["scale", "--set", "width=8"], "unknown field of Scale 'width'; did you mean 'widths'?"),
        (["scale", "--set", "widths"], "--set takes field=value, got 'widths'; for example --set widths=…"),
        (["scale", "--set", "widths=8,x"], "study.widths must be a whole number, got 'x'"),
        (["scale", "--set", "widths="], "study.widths must be at least 1, got ()"),
        (["scale", "--set", "keys=1"], "study.keys must be at least 2, got 1"),
        (["padding", "--set", "texts=8"], "study.texts must be at least 9, got 8"),
        (["padding", "--set", "longest=2"], "study.longest must be at least 4, got 2"),
        (["gradients", "--set", "length=0"], "study.length must be at least 1, got 0"),
        (["gradients", "--set", "width=3"], "must divide"),
        (["depth", "--set", "classes=1"], "study.classes must be at least 2, got 1"),
        (["coverage", "--set", "held_out=0"], "study.held_out must be at least 1, got 0"),
        (["coverage", "--set", "languages=xx"], "unknown language of data.source 'xx'"),
        (["coverage", "--set", "news=mine"], "unknown data set of topics 'mine'"),
        (
            ["coverage", "--set", "names=places"],
            "unknown kind of study.names 'places'; did you mean 'languages'? known: ",
        ),
        (
            ["coverage", "--set", "names=units", "--set", "training=10"],
            "study.training and study.held_out are 310 different names together, and ko es en have 23",
        ),
        (["coverage", "--set", "languages=kz", "--set", "training=10"], "unknown locale of study.languages 'kz'"),
        (["coverage", "--set", "languages="], "study.languages must name at least one, got none"),
        (["scale", "--figure", "scale.pdf"], "a figure is saved as .png or .svg, got 'scale.pdf'"),
    ],
)
def test_what_cannot_work_is_one_line(words: list[str], wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["study", *words]) == 2
    said = capsys.readouterr().err
    assert wrong in said
    assert said.count("\n") == 1


def test_a_record_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('[{"series": []}]')
    with pytest.raises(InputError, match=r"mine.json, record 1: no record of a study \('quantities'\)"):
        records.read(tmp_path, "mine", Points)
