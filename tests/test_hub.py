"""The hub: one commit, downloaded once, one clear line where it cannot be. The hub is a small server on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import pytest
from datasets import ClassLabel, Features, Value
from hub_server import HubServer
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.utils import close_session
from PIL import Image
from told import Forbidden, Told

import recipes
from finetune import assets, hub, packaged
from finetune.checkpoint import Hub
from finetune.cli import main
from finetune.data import targets
from finetune.data.hub_dataset import HubDataset
from finetune.data.toy import WORDS
from finetune.errors import InputError
from finetune.progress import Silent

ROOT = Path(__file__).parents[1]
MODEL, GLUE = "someone/model", "someone/glue"
SST = HubDataset(id=GLUE, config="sst", files=("sst/*",), test="validation", text="sentence")


def connect(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """What HF_ENDPOINT would have done before the import."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub without repositories, and empty caches."""
    monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with HubServer() as server:
        connect(monkeypatch, server.url)
        yield server
    close_session()


def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on nobody listens."""
    close_session()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        connect(monkeypatch, f"http://127.0.0.1:{free.getsockname()[1]}")


def write(folder: Path, **files: str) -> Path:
    """A folder of small files; two underscores stand for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / MODEL, config__json="{}", model__safetensors="one", pytorch_model__bin="a pickle")


def rows(count: int, labels: Features | None = None, **columns: list[object]) -> datasets.Dataset:
    words = list(WORDS.values())
    texts = [
        f"{words[number % 2][number % 3]} {words[number % 2][number // 2 % 3]} {number}" for number in range(count)
    ]
    given = {"sentence": texts, "label": [number % 2 for number in range(count)], **columns}
    return datasets.Dataset.from_dict(given, features=labels)


CLASSES = Features({"sentence": Value("string"), "label": ClassLabel(names=["negative", "positive"])})


@pytest.fixture(scope="module")
def glue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set as GLUE is laid out: two configs, the first of which is not the one asked for."""
    folder = tmp_path_factory.mktemp("glue")
    card = ["---", "configs:"]
    for config in ("ax", "sst"):
        (folder / config).mkdir()
        card += [f"- config_name: {config}", "  data_files:"]
        for split, count in (("train", 60), ("validation", 20), ("test", 5)):
            hidden: dict[str, list[object]] = {"label": [-1] * count} if split == "test" else {}
            table = rows(count, CLASSES, **hidden)
            with (folder / config / f"{split}-00000-of-00001.parquet").open("wb") as file:
                table.to_parquet(file)
            card += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    (folder / "README.md").write_text("\n".join([*card, "---", "# A card", ""]))
    return folder


def test_a_model_is_downloaded_and_the_commit_recorded_is_the_branchs(server: HubServer, model: Path) -> None:
    commit = server.publish("model", MODEL, model)
    told = Told()
    weights = Hub(MODEL).fetch(told)
    assert weights.revision == commit
    assert weights.reference == MODEL
    assert (weights.folder / "model.safetensors").read_text() == "one"
    assert told.lines == [f"fetching model {MODEL} at {commit[:12]} from {server.url}"]


def test_a_pickle_is_never_downloaded(server: HubServer, model: Path) -> None:
    server.publish("model", MODEL, model)
    Hub(MODEL).fetch(Silent())
    assert server.downloaded() == ["config.json", "model.safetensors"]


def test_a_model_that_is_only_a_pickle_is_refused(server: HubServer, model: Path) -> None:
    (model / "model.safetensors").unlink()
    server.publish("model", MODEL, model)
    with pytest.raises(InputError, match=r"holds no model.safetensors; only safetensors are read, never pickles"):
        Hub(MODEL).fetch(Silent())
    assert server.downloaded() == ["config.json"]


def test_an_index_that_points_outside_its_folder_is_refused(server: HubServer, model: Path) -> None:
    (model / "model.safetensors").unlink()
    write(model, model__safetensors__index__json=json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    server.publish("model", MODEL, model)
    with pytest.raises(InputError, match=r"index.json names '../../secret.safetensors', which is outside"):
        Hub(MODEL).fetch(Silent())


def test_a_branch_that_moved_is_followed_and_a_tag_is_kept(server: HubServer, model: Path, tmp_path: Path) -> None:
    first = server.publish("model", MODEL, model, "v1")
    second = server.publish("model", MODEL, write(tmp_path / "new", config__json="{}", model__safetensors="two"))
    moved, kept = Hub(MODEL).fetch(Silent()), Hub(MODEL, revision="v1").fetch(Silent())
    assert (moved.revision, kept.revision) == (second, first)
    assert moved.sha256 != kept.sha256


def test_a_full_commit_hash_in_the_cache_makes_no_request(server: HubServer, model: Path) -> None:
    commit = server.publish("model", MODEL, model)
    first = Hub(MODEL, revision=commit).fetch(Silent())
    server.requests.clear()
    assert Hub(MODEL, revision=commit).fetch(Forbidden()) == first
    assert server.requests == []


def test_what_another_program_began_to_download_is_completed(server: HubServer, model: Path) -> None:
    commit = server.publish("model", MODEL, model)
    hf_hub_download(MODEL, "config.json", revision=commit)
    assert hub.snapshot(MODEL, "model", commit, ["*.json", "*.safetensors"], Silent())[1] == commit
    assert server.downloaded() == ["config.json", "model.safetensors"]


def test_an_old_name_leads_to_the_new_one(server: HubServer, model: Path) -> None:
    commit = server.publish("model", "openai-community/gpt2", model)
    server.renamed["gpt2"] = "openai-community/gpt2"
    assert Hub("gpt2").fetch(Silent()).revision == commit
    assert Hub("openai-community/gpt2").fetch(Silent()).revision == commit


@pytest.mark.parametrize("revision", [None, "v1", "hash"])
def test_the_second_fetch_works_with_the_hub_gone(
    server: HubServer, model: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None
) -> None:
    commit = server.publish("model", MODEL, model, revision if revision == "v1" else "main")
    checkpoint = Hub(MODEL, revision=commit if revision == "hash" else revision)
    first = checkpoint.fetch(Silent())
    gone(monkeypatch)
    assert checkpoint.fetch(Forbidden()) == first


def test_offline_mode_uses_what_is_cached_and_refuses_the_rest(
    server: HubServer, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish("model", MODEL, model)
    first = Hub(MODEL).fetch(Silent())
    server.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert Hub(MODEL).fetch(Forbidden()) == first
    with pytest.raises(InputError, match=r"model 'someone/other' is not in the cache and .*HF_HUB_OFFLINE"):
        Hub("someone/other").fetch(Silent())
    assert server.requests == []


def test_a_hub_that_is_out_of_order_is_like_one_that_is_gone(server: HubServer, model: Path) -> None:
    server.publish("model", MODEL, model)
    first = Hub(MODEL).fetch(Silent())
    server.down = True
    assert Hub(MODEL).fetch(Forbidden()) == first
    with pytest.raises(InputError, match=r"'someone/other' is not in the cache and .* does not answer \(.*503"):
        Hub("someone/other").fetch(Silent())


def refused_within_two_seconds(url: str) -> None:
    for ask in (
        lambda: Hub(MODEL).fetch(Silent()),
        lambda: Hub(MODEL, revision="0" * 40).fetch(Silent()),
        lambda: SST.fetch(Silent()),
    ):
        started = time.monotonic()
        with pytest.raises(InputError) as caught:
            ask()
        assert time.monotonic() - started < 2
        text = str(caught.value)
        assert "\n" not in text
        assert f"is not in the cache and {url} does not answer" in text
        assert MODEL in text or GLUE in text


@pytest.mark.usefixtures("server")
def test_a_refused_connection_is_told_within_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    gone(monkeypatch)
    refused_within_two_seconds(constants.ENDPOINT)


@pytest.mark.usefixtures("server")
def test_a_hub_that_accepts_and_never_answers_is_told_within_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connect(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        refused_within_two_seconds(constants.ENDPOINT)


@pytest.mark.usefixtures("server")
def test_a_name_with_several_dead_addresses_is_told_within_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as one, socket.socket() as two:
        for waiting in (one, two):  # the queue is full then, and the next connection hangs as behind a firewall
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", full.getsockname())] * 4
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        connect(monkeypatch, "http://hub.example")
        started = time.monotonic()
        with pytest.raises(InputError, match=r"http://hub.example does not answer \(TimeoutError\)"):
            Hub(MODEL).fetch(Silent())
        assert time.monotonic() - started < 2


def test_an_unknown_repository_and_an_unknown_revision_are_told_apart(server: HubServer, model: Path) -> None:
    server.publish("model", MODEL, model)
    with pytest.raises(InputError, match=r"^there is no model 'someone/modle' on http://127.* or it is private$"):
        Hub("someone/modle").fetch(Silent())
    with pytest.raises(InputError, match=r"^there is no dataset 'someone/model' on "):
        HubDataset(id=MODEL).fetch(Silent())
    for revision in ("v9", "0" * 40):
        with pytest.raises(InputError, match=f"^model 'someone/model' has no revision '{revision}'$"):
            Hub(MODEL, revision=revision).fetch(Silent())


def test_a_gated_repository_tells_what_to_do(server: HubServer, model: Path) -> None:
    server.publish("model", MODEL, model)
    server.repositories["model", MODEL].gated = True
    with pytest.raises(InputError, match=r"^model 'someone/model' is gated: accept its terms on the hub"):
        Hub(MODEL).fetch(Silent())


@pytest.mark.usefixtures("server")
def test_an_id_that_cannot_be_one_is_told_in_a_line() -> None:
    for id_ in ("a/b/c", "../up", "", "two words"):
        with pytest.raises(InputError, match=r"^model .* cannot be asked for at http://127"):
            Hub(id_).fetch(Silent())


def test_a_cache_that_cannot_be_written_names_its_variable(
    server: HubServer, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish("model", MODEL, model)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(model / "config.json"))
    with pytest.raises(InputError, match=r"cannot be kept in .*config.json.*; set HF_HOME"):
        Hub(MODEL).fetch(Silent())


def test_a_config_is_loaded_without_the_files_of_the_others(server: HubServer, glue: Path) -> None:
    commit = server.publish("dataset", GLUE, glue)
    fetched = SST.fetch(Silent())
    assert fetched.source == {"dataset": GLUE, "revision": commit}
    parts = ("test", "train", "validation")
    assert server.downloaded() == ["README.md", *(f"sst/{part}-00000-of-00001.parquet" for part in parts)]
    loaded = SST.load(fetched)
    assert loaded.test is not None
    assert (len(loaded.train), len(loaded.test)) == (60, 20)
    assert loaded.labels == ("negative", "positive")
    assert set(loaded.train.column_names) == {"id", "text", "label"}
    assert (loaded.train["id"][0], loaded.test["id"][-1]) == ("train-000000", "validation-000019")
    assert loaded.train["label"][:4] == [0, 1, 0, 1]


def test_what_another_recipe_put_into_the_folder_is_not_read(server: HubServer, tmp_path: Path) -> None:
    plain = write(tmp_path / "plain")
    for shard in range(3):
        datasets.Dataset.from_dict({"text": [f"{shard} a", f"{shard} b"], "label": ["a", "b"]}).to_csv(
            plain / f"train-{shard}.csv"
        )
    server.publish("dataset", GLUE, plain)
    data = HubDataset(id=GLUE, files=("train-0*", "train-1*"), test=None)
    alone = data.load(data.fetch(Silent()))
    HubDataset(id=GLUE).fetch(Silent())
    again = data.load(data.fetch(Silent()))
    assert alone.train["text"][:] == again.train["text"][:] == ["0 a", "0 b", "1 a", "1 b"]


def test_a_pin_and_the_branch_it_was_are_the_same_data(server: HubServer, glue: Path) -> None:
    commit = server.publish("dataset", GLUE, glue)
    assert SST.fetch(Silent()).sha256 == replace(SST, revision=commit).fetch(Silent()).sha256
    assert SST.fetch(Silent()).sha256 != replace(SST, test="test").fetch(Silent()).sha256


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test": "test"}, "split 'test' of someone/glue has 5 rows without a label; choose another data.test"),
        ({"test": "validaton"}, "unknown split of someone/glue 'validaton'; did you mean 'validation'?"),
        ({"config": "sst2"}, "unknown config of someone/glue 'sst2'; did you mean 'sst'? known: ax, sst"),
        ({"config": None}, "data set someone/glue has several configs: set data.config to one of ax, sst"),
        ({"text": "sentense"}, "unknown column of someone/glue 'sentense'; did you mean 'sentence'?"),
        ({"label": "labels"}, "unknown column of someone/glue 'labels'; did you mean 'label'?"),
        ({"files": ("ax/*",)}, "split 'train' of someone/glue is in sst/train-*, which data.files leaves out"),
    ],
)
def test_a_field_that_cannot_be_names_what_would_be_right(
    server: HubServer, glue: Path, change: dict[str, object], said: str
) -> None:
    server.publish("dataset", GLUE, glue)
    data = replace(SST, **change)
    with pytest.raises(InputError) as caught:
        data.load(data.fetch(Silent()))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("train", "test", "labels", "said"),
    [
        (["b", "a"], ["a", "b"], ("a", "b"), None),
        ([10, 1, 2], [2, 10, 1], ("1", "10", "2"), None),
        ([1, -1], [-1, 1], ("-1", "1"), None),
        (["a", "b"], ["c", "a"], (), "split 'test' of someone/glue: unknown label 'c'; known: a, b"),
        (["a", "b"], ["a", None], (), "split 'test' of someone/glue has 1 rows without a label"),
        (["a", "a"], ["a", "a"], (), "split 'train' of someone/glue holds one class only (a)"),
        ([0.5, 1.5], [0.5, 1.5], (), "column 'label' of someone/glue holds no classes but Value('float64')"),
    ],
)
def test_labels_that_are_no_classes_yet_are_numbered_by_name(
    server: HubServer,
    tmp_path: Path,
    train: list[object],
    test: list[object],
    labels: tuple[str, ...],
    said: str | None,
) -> None:
    folder = write(tmp_path / "plain")
    for name, column in (("train", train), ("test", test)):
        with (folder / f"{name}.parquet").open("wb") as file:
            datasets.Dataset.from_dict({"text": list(map(str, column)), "label": column}).to_parquet(file)
    server.publish("dataset", GLUE, folder)
    data = HubDataset(id=GLUE)
    fetched = data.fetch(Silent())
    if said is not None:
        with pytest.raises(InputError) as caught:
            data.load(fetched)
        assert str(caught.value).startswith(said)
        return
    loaded = data.load(fetched)
    assert loaded.test is not None
    assert loaded.labels == labels
    for part in (loaded.train, loaded.test):
        assert [labels[index] for index in part["label"]] == part["text"][:]


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ([3.8, 0.5], [5.0, 1.2], None),
        ([3, 1], [2, 5], None),
        (["a", "b"], ["a", "b"], "column 'score' of someone/glue holds no numbers but Value('string')"),
        ([3.8, 0.5], [5.0, None], "split 'test' of someone/glue has 1 rows without a value; choose another data.test"),
        ([3.8, float("nan")], [5.0, 1.0], "split 'train' of someone/glue has 1 rows without a value; choose another"),
    ],
)
def test_a_column_of_numbers_is_the_value(
    server: HubServer, tmp_path: Path, train: list[object], test: list[object], said: str | None
) -> None:
    folder = write(tmp_path / "plain")
    for name, column in (("train", train), ("test", test)):
        with (folder / f"{name}.parquet").open("wb") as file:
            datasets.Dataset.from_dict({"text": list(map(str, column)), "score": column}).to_parquet(file)
    server.publish("dataset", GLUE, folder)
    data = HubDataset(id=GLUE, value="score")
    fetched = data.fetch(Silent())
    assert fetched.sha256 != replace(data, value="text").fetch(Silent()).sha256
    assert fetched.sha256 != replace(data, value=None, target="score").fetch(Silent()).sha256
    if said is not None:
        with pytest.raises(InputError) as caught:
            data.load(fetched)
        assert str(caught.value).startswith(said)
        return
    loaded = data.load(fetched)
    assert loaded.labels == ()
    assert targets(loaded.train).tolist() == train
    assert loaded.train.column_names == ["text", "value", "id"]


def test_a_text_and_a_number_are_not_both_to_be_said() -> None:
    with pytest.raises(InputError, match="data.target and data.value are two things to be said, one of which must be"):
        HubDataset(id=GLUE, target="a", value="b")


def test_images_come_with_the_names_of_their_classes(server: HubServer, tmp_path: Path) -> None:
    folder = write(tmp_path / "beans" / "data")
    features = Features(
        {"path": Value("string"), "image": datasets.Image(), "labels": ClassLabel(names=["ill", "well"])}
    )
    for split, count in (("train", 4), ("test", 2)):
        images = [Image.new("RGB", (4, 4), (60 * number, 0, 0)) for number in range(count)]
        given = {"path": ["x"] * count, "image": images, "labels": [number % 2 for number in range(count)]}
        with (folder / f"{split}-00000-of-00001.parquet").open("wb") as file:
            datasets.Dataset.from_dict(given, features=features).to_parquet(file)
    server.publish("dataset", GLUE, folder.parent)
    data = HubDataset(id=GLUE, text=None, image="image", label="labels")
    loaded = data.load(data.fetch(Silent()))
    assert loaded.labels == ("ill", "well")
    assert set(loaded.train.column_names) == {"id", "image", "label"}
    assert loaded.train["image"][3].getpixel((0, 0)) == (180, 0, 0)


def test_files_that_cannot_be_read_are_told_in_a_line(server: HubServer, tmp_path: Path) -> None:
    server.publish("dataset", GLUE, write(tmp_path / "broken", train__parquet="no parquet", test__parquet="neither"))
    data = HubDataset(id=GLUE)
    with pytest.raises(InputError, match=r"^data set someone/glue cannot be read: .*[Pp]arquet") as caught:
        data.load(data.fetch(Silent()))
    assert "\n" not in str(caught.value)


def recipe_file(folder: Path) -> Path:
    path = folder / "ours.py"
    path.write_text(
        "from finetune import Budget, Classification, Frozen, Hub, HubDataset, Recipe\n"
        f"data = HubDataset(id={GLUE!r}, config='sst', files=('sst/*',), test='validation', text='sentence')\n"
        f"recipe = Recipe(name='ours', checkpoint=Hub({MODEL!r}), data=data, task=Classification(max_length=16),\n"
        "                method=Frozen(), budget=Budget(epochs=1, batch_size=16))\n"
    )
    return path


def test_pin_writes_the_commits_of_now(
    server: HubServer,
    model: Path,
    glue: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commits = {GLUE: server.publish("dataset", GLUE, glue), MODEL: server.publish("model", MODEL, model)}
    monkeypatch.setattr(recipes, "PINS", tmp_path / "pins.json")
    (tmp_path / "pins.json").write_text('{"another/one": "kept"}')
    assert main(["pin", str(recipe_file(tmp_path))]) == 0
    assert json.loads((tmp_path / "pins.json").read_text()) == {"another/one": "kept", **commits}
    assert recipes.pin(MODEL) == commits[MODEL]
    assert server.downloaded() == []
    assert capsys.readouterr().out.splitlines() == [f"{id_} {commit}" for id_, commit in commits.items()]
    gone(monkeypatch)
    assert main(["pin", str(recipe_file(tmp_path))]) == 2
    assert "does not answer" in capsys.readouterr().err


@dataclass(frozen=True)
class Ran:
    """`finetune run` of a recipe file in a process of its own, twice: with the hub, and with the hub gone."""

    commits: dict[str, str]
    with_hub: subprocess.CompletedProcess[str]
    without: subprocess.CompletedProcess[str]
    results: list[dict[str, dict[str, str]]]
    asked: list[str]
    home: Path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, glue: Path, checkpoint: Callable[[str], Path]) -> Ran:
    home = tmp_path_factory.mktemp("home")
    minilm = assets.asset("minilm-l6", "checkpoint")
    model = packaged.folder(minilm) if packaged.here(minilm) else checkpoint("bert")
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HOME": str(home), "HF_HOME": str(home / "hf"), "FINETUNE_CACHE": str(home / "finetune")}
    env.pop("XDG_CACHE_HOME", None)

    def run(out: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "finetune", "run", str(recipe_file(home)), "--out", str(home / out)]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)

    with HubServer() as server:
        commits = {GLUE: server.publish("dataset", GLUE, glue), MODEL: server.publish("model", MODEL, model)}
        env["HF_ENDPOINT"] = server.url
        first = run("first")
    second = run("second")
    results = [json.loads(path.read_text()) for path in sorted(home.glob("*/ours/*/result.json"))]
    return Ran(commits, first, second, results, server.requests, home)


def test_a_recipe_from_the_hub_runs_and_records_both_commits(ran: Ran) -> None:
    assert ran.with_hub.returncode == 0, ran.with_hub.stderr
    assert ran.results[0]["weights"]["revision"] == ran.commits[MODEL]
    assert ran.results[0]["data"]["revision"] == ran.commits[GLUE]


def test_a_recipe_from_the_hub_runs_again_with_the_hub_gone(ran: Ran) -> None:
    assert ran.without.returncode == 0, ran.without.stderr
    assert ran.results[1]["fingerprint"] == ran.results[0]["fingerprint"]
    assert ran.results[1]["scores"] == ran.results[0]["scores"]


def test_a_run_asks_the_hub_for_nothing_but_its_two_repositories(ran: Ran) -> None:
    others = {each for each in ran.asked if MODEL not in each and GLUE not in each}
    assert others <= {"GET /api/agent-harnesses"}  # the client's own, once a day, where its telemetry is on


def test_a_run_in_no_terminal_shows_no_foreign_bars_or_warnings(ran: Ran) -> None:
    for text in (ran.with_hub.stderr, ran.without.stderr):
        for foreign in ("%|", "it/s]", "Generating", "Fetching", "Warning", "thrown while requesting"):
            assert foreign not in text


def test_a_run_writes_its_tables_into_our_cache_only(ran: Ran) -> None:
    assert sorted(path.name for path in ran.home.iterdir()) == ["finetune", "first", "hf", "ours.py", "second"]
    assert not list((ran.home / "hf").rglob("*.arrow"))
    assert list((ran.home / "finetune" / "tables").rglob("*.arrow"))


def test_texts_to_be_written_are_found_within_another_column(server: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    pairs = [{"en": f"the cat {number}", "fr": f"le chat {number}"} for number in range(20)]
    with (folder / "train-00000-of-00001.parquet").open("wb") as file:
        datasets.Dataset.from_dict({"translation": pairs}).to_parquet(file)
    server.publish("dataset", GLUE, folder)
    data = HubDataset(id=GLUE, test=None, text="translation.en", target="translation.fr")
    found = data.load(data.fetch(Silent()))
    assert (found.labels, found.test) == ((), None)
    assert found.train[3] == {"text": "the cat 3", "target": "le chat 3", "id": "train-000003"}
    other = replace(data, text="translation.fr", target="translation.en")
    assert other.fetch(Silent()).sha256 != data.fetch(Silent()).sha256
    with pytest.raises(
        InputError, match=r"unknown column of someone/glue 'translation\.de'; did you mean 'translation"
    ):
        replace(data, target="translation.de").load(data.fetch(Silent()))


def test_a_field_that_came_later_leaves_the_hash_of_rows_with_labels() -> None:
    assert "target" not in repr(SST)
