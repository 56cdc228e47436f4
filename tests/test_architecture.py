"""The house: who may import whom, what a folder's front door may know, and what only the command line may do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "finetune"
FILES = sorted(ROOT.rglob("*.py"))

# a module imports only from rows above its own
LAYERS = [
    {
        "errors",
        "hashing",
        "stats",
        "progress",
        "batches",
        "allocator",
        "metrics",
        "dropout",
        "signals",
        "watch",
        "variance",
    },
    {"crossover", "resampling", "zero"},
    {
        "extras",
        "items",
        "neighbours",
        "outputs",
        "paired",
        "parts",
        "peers",
        "points",
        "repeatable",
        "sharded",
        "solve",
    },
    {
        "axes",
        "anatomy",
        "augmentations",
        "benchmark",
        "cache",
        "convert",
        "correlation",
        "forecast",
        "hub",
        "launch",
        "masters",
        "measure",
        "optim",
        "overlap",
        "precision",
        "result",
        "snapshots",
        "spans",
        "wheel",
    },
    {"assets", "exchange", "objective", "shift", "system", "written"},
    {"choice", "packaged", "state", "verdict"},
    {"data", "keeper", "report"},
    {"attention", "checkpoint", "splits", "encode"},
    {"transformer"},
    {"loading", "studies"},
    {"blank", "features", "evaluate", "images", "language", "texts", "untrained"},
    {"head", "inputs", "pairs", "tagged"},
    {"sweep"},
    {"integrity", "methods", "tasks", "train"},
    {"recipe"},
    {"session", "catalog", "controls"},
    {"certificate", "execute", "predict", "seen"},
    {"remote"},
    {"engines"},
    {"alignment", "certify", "finished", "grid", "look", "plan"},
    {"forgetting", "transfer", "tuning"},
    {"elsewhere"},
    {"commands", "processes"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FORBIDDEN = [("methods", "tasks"), ("tasks", "methods"), ("train", "methods"), ("train", "tasks"), ("train", "anatomy")]


def place(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """First parts below finetune of everything a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "finetune":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("finetune."):
            found.add((node.module or "").split(".")[1])
    return found


def test_every_module_has_its_place() -> None:
    assert {place(path) for path in FILES} - {"__init__"} == set(RANK)


@pytest.mark.parametrize("path", [path for path in FILES if place(path) != "__init__"], ids=lambda path: path.name)
def test_imports_point_down_the_house(path: Path) -> None:
    own = place(path)
    for other in imports(path) & set(RANK):
        assert other == own or RANK[other] < RANK[own], f"{path.name} imports {other}"
        assert (own, other) not in FORBIDDEN


AXES = ["augmentations", "commands", "data", "engines", "methods", "studies", "tasks"]
AXES += [f"transformer/{each}" for each in ("norms", "scores", "systems")]


@pytest.mark.parametrize("axis", [*AXES, "transformer/tokenizers"])
def test_the_contract_of_an_axis_imports_none_of_its_alternatives(axis: str) -> None:
    tree = ast.parse((ROOT / axis / "__init__.py").read_text(encoding="utf-8"))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {module for module in modules if module.startswith(f"finetune.{axis.replace('/', '.')}.")}
    assert list((ROOT / axis).glob("*.py")), "an axis with no alternatives proves nothing"


@pytest.mark.parametrize(
    "path", [path for path in FILES if place(path) not in ("cli", "commands")], ids=lambda path: path.name
)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_pickle_is_read_and_no_foreign_code_is_run(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        assert name not in ("torch.load", "pickle.load", "pickle.loads", "eval", "exec", "evaluate.load")
        if name.endswith(".from_pretrained") and "Peft" not in name and "Config" not in name:
            assert "trust_remote_code=False" in ast.unparse(call) or name.startswith("AutoConfig")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_room_is_without_a_name(path: Path) -> None:
    assert path.stem not in ("utils", "util", "common", "helpers", "misc", "base")
