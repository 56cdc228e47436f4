"""What every benchmark here needs: results kept as they come, medians with their intervals, and the machine's limit."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finetune import measure
from finetune.hashing import content_key, file_sha256

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "outputs" / "tables"

Record = dict[str, Any]


class Ledger:
    """The records of a benchmark that may be stopped at any time, and goes on where it was.

    What was measured counts for as long as the code, the versions and the machine are the same.
    """

    def __init__(self, name: str, rounds: int, beside: Sequence[Path] = ()) -> None:
        """
        Args:
            beside: other files that decide what is measured.
        """
        code = sorted((ROOT / "finetune").rglob("*.py")) + sorted((ROOT / "tests" / "benchmarks").glob("*.py"))
        self.name = name
        self.conditions = {
            "processor": measure.processor(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "rounds": rounds,
        }
        key = content_key(*map(file_sha256, [*code, *beside]), *self.conditions.values())[:16]
        self.path = ROOT / "outputs" / f"{name}-{key}.jsonl"
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        self.entries: dict[str, list[Record]] = dict(json.loads(line) for line in lines)

    def measure(self, what: str, how: Callable[[], list[Record]]) -> None:
        """The records of one thing, measured unless they are there."""
        if what not in self.entries:
            self.entries[what] = how()
            self.path.parent.mkdir(exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([what, self.entries[what]], ensure_ascii=False) + "\n")

    def publish(self, records: list[Record], page: str) -> None:
        """Put the whole benchmark where it is committed, and forget how it was come by."""
        (TABLES / f"{self.name}.json").write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", "utf-8")
        (TABLES / f"{self.name}.md").write_text(page, "utf-8")
        self.path.unlink(missing_ok=True)


def ratio(ours: Sequence[float], theirs: Sequence[float], goal: float, *, same: bool = False) -> Record:
    """How many times as long the peer takes, with the 95 % interval of the rounds, and what that says of the goal."""
    value = statistics.median(theirs) / statistics.median(ours)
    low, high = interval([peer / own for own, peer in zip(ours, theirs, strict=True)])
    verdict = "reached" if value >= goal else "tied" if high >= goal else "missed"
    found = {"ratio": value, "low": low, "high": high}
    return {
        **{name: round(each, 2) for name, each in found.items()},
        "goal": goal,
        "verdict": "same" if same else verdict,
    }


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Of a median, by the order of the values, however they are spread; from the least to the greatest of few."""
    ordered, n = sorted(values), len(values)
    outside, rank = 0.0, 0
    while rank < n // 2:  # how likely it is that no more than `rank` values lie below the true median
        outside += 2 * math.comb(n, rank) / 2**n
        if outside > 1 - level:
            break
        rank += 1
    rank = max(rank - 1, 0)
    return ordered[rank], ordered[n - 1 - rank]


def ms(seconds: Sequence[float]) -> float:
    return float(f"{1e3 * statistics.median(seconds):.4g}")


def product_seconds(dtype: str) -> float:
    """Of a large matrix product at its fastest, per operation: the limit of everything that is made of them."""
    a, b = (torch.randn(2048, 2048, dtype=getattr(torch, dtype)) for _ in range(2))
    taken = []
    for _ in range(6):
        started = time.perf_counter()
        a @ b
        taken.append(time.perf_counter() - started)
    return min(taken) / (2 * 2048**3)


def apart(target: Callable[..., None], *arguments: Any) -> Any:
    """What a function sends that runs in a process of its own.

    Raises:
        EOFError: it failed.
    """
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(there, *arguments))
    process.start()
    there.close()  # or a process that fails is waited for forever
    found = here.recv()
    process.join()
    return found
