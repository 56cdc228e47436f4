"""The README is true: its commands run, its table is the committed one, its tree is the tree.

README.ko.md is it in Korean, with the same blocks: what is tested of them holds for both.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest
from PIL import Image

from finetune import Result, catalog
from finetune.report.beside import beside
from finetune.report.tables import table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")
TOGETHER = "README.md and README.ko.md must change together"
# blocks of code and generated ones; else what no blank line divides, and each item of a list
PIECE = re.compile(r"<!-- (\w+).*?<!-- /\1 -->|```.*?```|\S(?:(?!\n\n|\n- ).)*", re.DOTALL)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def pieces(readme: str) -> list[str]:
    return [found[0].strip() for found in PIECE.finditer(readme)]


def whole(piece: str) -> bool:
    """Whether it is the same to the letter in each language."""
    return piece.startswith(("```", "<!--"))


def frame(piece: str) -> str:
    """What a piece is, whatever its language."""
    if whole(piece):
        return piece
    if shown := re.fullmatch(r"!\[[^]]+\](\(\S+\))", piece):
        return f"the picture {shown[1]}"
    kinds = {"#": f"a heading {piece.split()[0]}", "-": "an item of a list", "|": f"a table of {piece.count('|')} bars"}
    return kinds.get(piece[0], "a paragraph")


def code(piece: str) -> set[str]:
    return {" ".join(each.split()) for each in re.findall(r"`([^`]+)`", "" if whole(piece) else piece)}


def numbers(piece: str) -> set[str]:
    return set(re.findall(r"\d+(?:[.,]\d+)*[⁻⁰¹²³⁴-⁹]*", piece))


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]
SNIPPETS = blocks("python")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the README's files are."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    shutil.copytree(ROOT / "outputs" / "tables", folder / "outputs" / "tables")
    rows = [f"I {word} it for reason {n},{stars}" for n in range(20) for word, stars in (("loved", 5), ("hated", 1))]
    (folder / "reviews.csv").write_text("review,stars\n" + "\n".join(rows) + "\n")
    for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (20 + number, 20), colour).save(folder / "photos" / name / f"{number}.png")
    (folder / "sharp.py").write_text(next(snippet for snippet in SNIPPETS if "class Sharp" in snippet))
    return folder


def succeed(command: list[str], desk: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, capture_output=True, text=True, cwd=desk, env=os.environ | {"PATH": path})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_commands_and_snippets_to_run() -> None:
    assert len(COMMANDS) >= 9
    assert len(SNIPPETS) >= 3


def maker(command: str) -> str | None:
    """The command that leaves what this one loads: a run, or the table of which it tells the verdict."""
    if told := re.match(r"finetune verdict (\w+)", command):
        return next((line for line in COMMANDS if f"--save {told[1]}" in line), None)
    loaded = re.search(r"outputs/(\w+)/(\w+)-seed", command)
    if loaded is None:
        return None
    ways = [
        line for line in COMMANDS if line.startswith((f"finetune run {loaded[1]} ", f"finetune compare {loaded[1]} "))
    ]
    return next((line for line in ways if loaded[2] in line), ways[0])


@pytest.fixture(scope="module")
def done() -> set[str]:
    """The commands that were called at the desk so far."""
    return set()


@pytest.mark.parametrize("command", [line for line in COMMANDS if not line.startswith("make")])
def test_a_command_of_the_readme_runs(command: str, desk: Path, done: set[str]) -> None:
    made = maker(command)
    if made is not None and made not in done:
        succeed(shlex.split(made), desk)
    words = [glob.glob(word, root_dir=desk) or [word] for word in shlex.split(command)]  # as a shell does
    assert succeed([word for found in words for word in found], desk)
    done.update((command, made or command))


@pytest.mark.parametrize("target", [line.split()[1] for line in COMMANDS if line.startswith("make")])
def test_a_make_target_of_the_readme_is_one(target: str) -> None:
    assert target in ("compare", "test")
    done = subprocess.run(["make", "--dry-run", target], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert {"compare": "finetune compare bert_r8 gpt_reviews vit_mnist", "test": "-m pytest"}[target] in done.stdout


# one is a file that commands are given, and prints nothing
@pytest.mark.parametrize("snippet", [each for each in SNIPPETS if "print(" in each])
def test_a_snippet_of_the_readme_runs(snippet: str, desk: Path) -> None:
    said = succeed([sys.executable, "-c", snippet], desk)
    assert "accuracy" in said or "Prediction(label=" in said


def test_the_table_is_the_committed_one_and_is_made_of_the_committed_records() -> None:
    shown = re.search(r"<!-- table: (\S+) -->\n(.*?)\n<!-- /table -->", README, flags=re.DOTALL)
    assert shown is not None
    path = ROOT / shown[1]
    assert shown[2] == path.read_text(encoding="utf-8").strip()
    records = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert table(map(Result.from_json, records)).markdown() == shown[2]
    assert len(records) >= 18


def test_the_rows_of_another_table_are_committed_ones_and_are_made_of_the_committed_records() -> None:
    shown = re.search(r"<!-- rows of: (\S+) -->\n(.*?)\n<!-- /rows -->", README, flags=re.DOTALL)
    assert shown is not None
    path = ROOT / shown[1]
    whole = path.read_text(encoding="utf-8").strip()
    assert set(shown[2].splitlines()) < set(whole.splitlines())
    records = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert beside(catalog.table(path.stem), map(Result.from_json, records)).markdown() == whole


def test_the_pictures_are_committed_ones_that_a_command_here_makes() -> None:
    shown = re.findall(r"!\[[^]]+\]\((\S+)\)", README)
    assert shown
    for path in shown:
        with Image.open(ROOT / path) as image:
            assert image.format == "PNG"
        assert (ROOT / path).stat().st_size < 150_000
        recipe = Path(path).stem.removesuffix("-attention")
        made = (
            f"finetune attention {recipe} ",
            f"finetune align outputs/{Path(path).stem.removesuffix('-alignment')}/",
            f"--figure {path}",
        )
        assert any(each in line for line in COMMANDS for each in made)


def test_the_tree_names_every_file_of_the_package() -> None:
    tree = re.search(r"<!-- tree -->\n(.*?)<!-- /tree -->", README, flags=re.DOTALL)
    assert tree is not None
    named = re.findall(r"^ +(\w+\.py) ", tree[1], flags=re.MULTILINE)
    files = [path.name for path in (ROOT / "finetune").glob("*.py")]
    files += [path.name for path in (ROOT / "finetune").glob("*/**/*.py") if path.name != "__init__.py"]
    assert sorted(named) == sorted(files)


def test_the_number_of_lines_of_the_example_method_is_right() -> None:
    said = re.search(r"`last_layers.py`\s+is one in (\d+) lines", README)
    assert said is not None
    assert int(said[1]) == len((ROOT / "finetune" / "methods" / "last_layers.py").read_text().splitlines())


def test_each_readme_leads_to_the_other_in_its_first_lines() -> None:
    assert "(README.ko.md)" in "".join(README.splitlines()[:3])
    assert "(README.md)" in "".join(KOREAN.splitlines()[:3])


def test_both_readmes_have_the_same_headings_blocks_and_pictures_in_the_same_order() -> None:
    for one, other in zip_longest(pieces(README), pieces(KOREAN), fillvalue="its end"):
        assert frame(one) == frame(other), f"{TOGETHER}: README.md has\n{one}\nwhere README.ko.md has\n{other}"


def test_a_paragraph_has_the_same_code_in_both_readmes_and_no_number_is_lost() -> None:
    for one, other in zip_longest(pieces(README), pieces(KOREAN), fillvalue=""):
        where = f"{TOGETHER}: README.md has\n{one}\nand README.ko.md\n{other}"
        assert code(one) == code(other), where
        assert numbers(one) <= numbers(other), where  # Korean has digits for some that English has words for


def test_each_sentence_of_the_korean_readme_is_korean() -> None:
    name, *others = pieces(KOREAN)
    assert name == "# finetune"
    sentences = [each for piece in others if not whole(piece) for each in re.split(r"(?<=[.?!])\s+", piece)]
    assert [each for each in sentences if not re.search("[가-힣]", each)] == []
