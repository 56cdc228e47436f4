"""Ours beside the stock ways to do the same work: same rows, batch size, updates and learning rate, in turns.

    make bench            or    python tests/benchmarks/training_speed.py --rounds 3

Every training is a process of its own; a round is one of each, and a figure the median of the rounds. Writes
outputs/tables/speed.json and .md. Stopped, it goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import datasets
from ledger import Ledger, Record, product_seconds, ratio
from tabulate import tabulate
from torch import nn
from tqdm import tqdm

from finetune import catalog, stats
from finetune.anatomy import anatomy, blocks
from finetune.recipe import Recipe
from finetune.session import session

HERE = Path(__file__).parent
LIMITS = HERE / "limits.md"  # of the committed table: what was tried where a goal was missed
TEST_ROWS, BATCH = 400, 32
MODELS = {"bert_r8": "MiniLM", "gpt_reviews": "SmolLM2", "vit_mnist": "DINOv2-small"}
AS_USERS, AT_BEST, EXACT = "Trainer, bf16", "Trainer, bf16, grouped by length", "Trainer, fp32"
LOOP = "accelerate loop, bf16"
SENTENCES, SENTENCES_BF16 = "sentence-transformers + scikit-learn, fp32", "sentence-transformers + scikit-learn, bf16"
TABLE = "Trainer, bf16, one process a run"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One thing to do, and who else does it: the time of each peer over ours that is the goal."""

    recipe: str
    method: str
    rows: int
    epochs: int
    peers: dict[str, float]
    memory: float  # the peak memory of a peer over ours that is the goal
    timed: str = "train"  # or "whole": with predicting the test rows
    stock_epochs: int | None = None  # where a peer trains longer than a recipe would

    @property
    def name(self) -> str:
        return f"{self.method}, {self.rows} rows, {self.epochs} epoch{'s' * (self.epochs > 1)}"

    @cached_property
    def settings(self) -> list[str]:
        return [
            f"split.train_rows={self.rows}",
            f"split.test_rows={TEST_ROWS}",
            f"budget.batch_size={BATCH}",
            f"budget.epochs={self.epochs}",
        ]

    def whole(self) -> Recipe:
        return catalog.load(self.recipe).of(self.method).override(self.settings)


SHARE = {"bert_r8": 0.6, "gpt_reviews": 0.7, "vit_mnist": 0.75}  # of the rate of large products
LIKE_TRAINER = {AS_USERS: 2.5, AT_BEST: 1.8, EXACT: 5.0, LOOP: 2.5}
WORKS = [
    Work(recipe="bert_r8", method="full", rows=640, epochs=2, peers=LIKE_TRAINER, memory=1 / 0.6),
    Work(recipe="gpt_reviews", method="full", rows=320, epochs=1, peers=LIKE_TRAINER, memory=1 / 0.6),
    Work(
        recipe="vit_mnist",
        method="full",
        rows=1280,
        epochs=1,
        peers={AS_USERS: 2.5, EXACT: 5.0, LOOP: 2.5},  # images are of one length
        memory=1 / 0.6,
    ),
    Work(recipe="bert_r8", method="lora", rows=640, epochs=2, peers={AS_USERS: 2.5}, memory=1 / 0.4),
    Work(recipe="gpt_reviews", method="lora", rows=320, epochs=1, peers={AS_USERS: 2.5}, memory=1 / 0.4),
    Work(recipe="vit_mnist", method="lora", rows=1280, epochs=1, peers={AS_USERS: 2.5}, memory=1 / 0.4),
    Work(
        recipe="bert_r8",
        method="frozen",
        rows=640,
        epochs=1,
        peers={AS_USERS: 40.0, SENTENCES: 4.0, SENTENCES_BF16: 4.0},
        memory=1 / 0.3,
        timed="whole",  # to predictions of the test rows: features are also taken of those
        stock_epochs=10,
    ),
]
PEERS = {LOOP: "accelerate", SENTENCES: "sentence_transformers", SENTENCES_BF16: "sentence_transformers"}
RATES = {"full": (5e-5, 1e-4, 2e-4), "lora": (5e-4, 1e-3, 2e-3), "frozen": (1e-3, 5e-3, 2e-2)}  # frozen: the penalty
GRID = [(method, rate, seed) for method, rates in RATES.items() for rate in rates for seed in range(3)]


def ours(work: Work, kind: str = "run") -> list[Record]:
    job = {"recipe": work.recipe, "method": work.method, "settings": work.settings}
    return process("ours.py", {"kind": kind, "job": job})


def our_grid() -> list[Record]:
    jobs = []
    for method, rate, seed in GRID:
        work = grid_work(method)
        name = "method.penalty" if method == "frozen" else "method.optim.learning_rate"
        settings = [*work.settings, f"{name}={rate}", f"seed={seed}"]
        jobs.append({"recipe": work.recipe, "method": method, "settings": settings})
    return process("ours.py", {"kind": "grid", "job": jobs})


def grid_work(method: str) -> Work:
    return Work(
        recipe="bert_r8", method=method, rows=320, epochs=1, peers={}, memory=1, stock_epochs=10 * (method == "frozen")
    )


def their_run(method: str, rate: float, seed: int, rows: Path) -> list[Record]:
    return theirs(grid_work(method), AS_USERS, rows, None if method == "frozen" else rate, seed)


def theirs(work: Work, peer: str, rows: Path, rate: float | None = None, seed: int = 0) -> list[Record]:
    recipe = work.whole()
    here = session(recipe)
    with tempfile.TemporaryDirectory() as scratch:
        job: dict[str, Any] = {
            "peer": PEERS.get(peer, "trainer"),
            "device": here.accelerator.device.type,
            "checkpoint": str(here.weights.folder),
            "data": str(rows),
            "scratch": scratch,
            "images": recipe.task.image_size is not None,  # pyright: ignore
            "size": recipe.task.image_size,  # pyright: ignore
            "max_length": recipe.task.max_length,  # pyright: ignore
            "labels": len(here.splits().labels),
            "method": work.method,
            "epochs": work.stock_epochs or work.epochs,
            "batch_size": BATCH,
            # a head of a Trainer learns at another rate than our linear one
            "learning_rate": rate or (1e-3 if work.method == "frozen" else recipe.method.optim.learning_rate),
            "seed": seed,
            "precision": "float32" if peer in (EXACT, SENTENCES) else "bfloat16",
            "grouped": peer == AT_BEST,
        }
        if work.method == "lora":
            body = anatomy(here.build(here.weights)[0])
            job["lora"] = {"r": 8, "lora_alpha": 16, "target_modules": body.pattern(("query", "value"))}
        return process("stock.py", job)


def their_help() -> list[Record]:
    """Seconds until `finetune --help` has answered."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "finetune", "--help"], capture_output=True, check=True)
    return [{"process": time.perf_counter() - started}]


def process(script: str, job: dict[str, Any]) -> list[Record]:
    """
    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, str(HERE / script), json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    if done.returncode:
        raise RuntimeError(f"{script} {json.dumps(job)} failed:\n{done.stderr[-3000:]}")
    return [json.loads(done.stdout.splitlines()[-1])]


def save_rows(work: Work, folder: Path) -> None:
    """The rows of a recipe as a stock script finds them."""
    splits = session(work.whole()).splits()
    kept = {part: splits[part] for part in ("train", "test")}
    columns = {"text", "image", "label"}
    datasets.DatasetDict(
        {
            part: rows.remove_columns([name for name in rows.column_names if name not in columns])
            for part, rows in kept.items()
        }
    ).save_to_disk(str(folder))


def operations(work: Work) -> float:
    """Of the products in a training's blocks, over real tokens only: two a weight and token forward, four backward."""
    here = session(work.whole())
    model, _ = here.build(here.weights)
    body = blocks(model)
    weights = sum(each.weight.numel() for block in body for each in block.modules() if isinstance(each, nn.Linear))
    lengths = here.examples()["train"].lengths.astype(float)
    # half of what a causal mask hides is never needed
    square = (
        (lengths**2).sum() * model.config.hidden_size * len(body) * 2 * (0.5 if work.recipe.startswith("gpt") else 1)
    )
    return 6 * work.epochs * (weights * lengths.sum() + square)


def table(ledger: Ledger, rounds: int) -> list[Record]:
    records: list[Record] = []
    for work in WORKS:
        mine = [ledger.entries[key(work, "ours", number)][0] for number in range(rounds)]
        labels = {"work": work.name, "model": MODELS[work.recipe]}
        for peer, goal in work.peers.items():
            other = [ledger.entries[key(work, peer, number)][0] for number in range(rounds)]
            scored = {"ours_accuracy": accuracy(work, mine[0]), "theirs_accuracy": accuracy(work, other[0])}
            records.append(labels | {"peer": peer} | better(mine, other, work.timed, "s", goal) | scored)
            records.append(labels | {"peer": peer} | better(mine, other, "peak_mb", "MB", work.memory))
            if "first" in other[0] and work.method != "frozen":
                records.append(labels | {"peer": peer} | better(mine, other, "first", "s to first update", 2.0))
        if work.method == "full":
            limit = [ledger.entries[key(work, "limit", number)][0] for number in range(rounds)]
            records.append(
                labels | {"peer": "its products alone"} | better(mine, limit, "train", "s", SHARE[work.recipe])
            )
        if work.method == "lora":
            full = next(each for each in WORKS if each.method == "full" and each.recipe == work.recipe)
            whole = [ledger.entries[key(full, "ours", number)][0] for number in range(rounds)]
            records.append(labels | {"peer": "our full fine-tuning"} | better(mine, whole, "train", "s", 1 / 0.75))
    return records + rest(ledger)


def rest(ledger: Ledger) -> list[Record]:
    """What is measured once: the grid, and the start."""
    mine = ledger.entries["grid: ours"]
    stock = [{"process": sum(ledger.entries[grid_key(*each)][0]["process"] for each in GRID)}]
    labels = {"work": "grid of 27 runs, 320 rows", "model": "MiniLM", "peer": TABLE}
    records = [labels | better(mine, stock, "process", "s", 6.0)]
    help_ = ledger.entries["help"][0]["process"]
    limit = {"ours": round(help_, 3), "theirs": 0.4, "unit": "s", **ratio([help_], [0.4], 1.0)}
    records.append({"work": "finetune --help", "model": "–", "peer": "the goal"} | limit)
    return records


def foreseen(ledger: Ledger, rounds: int) -> list[Record]:
    """What `finetune plan` says beside what it came to."""
    records = []
    for work in WORKS:
        said = ledger.entries[key(work, "plan", 0)][0]
        for what, unit in ((work.timed, "s"), ("peak_mb", "MB"), ("saved_mb", "MB")):
            came = statistics.median(ledger.entries[key(work, "ours", number)][0][what] for number in range(rounds))
            labels = {"work": work.name, "model": MODELS[work.recipe], "unit": unit}
            records.append(labels | {"planned": said[what], "measured": came, "off": said[what] / came - 1})
    return records


def grid_key(method: str, rate: float, seed: int) -> str:
    return f"grid: Trainer, {method} {rate:g}, seed {seed}"


def better(mine: list[Record], other: list[Record], what: str, unit: str, goal: float) -> Record:
    own, peer = [each[what] for each in mine], [each[what] for each in other]
    medians = {"ours": statistics.median(own), "theirs": statistics.median(peer)}
    return {**{who: float(f"{value:.4g}") for who, value in medians.items()}, "unit": unit, **ratio(own, peer, goal)}


def accuracy(work: Work, found: Record) -> str:
    targets = session(work.whole()).splits().test["label"][:]
    right = sum(int(one == other) for one, other in zip(found["predicted"], targets, strict=True))
    estimate = stats.proportion(right, len(targets))
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def limit(work: Work) -> list[Record]:
    return [{"train": operations(work) * product_seconds("bfloat16")}]


def key(work: Work, who: str, number: int) -> str:
    return f"{work.recipe}, {work.name}: {who}, round {number}"


def markdown(records: list[Record], planned: list[Record], conditions: dict[str, Any]) -> str:
    about = ", ".join(f"{name} {value}" for name, value in conditions.items())
    named = ("work", "model", "peer", "unit")
    header = (*named, "ours", "theirs", "ratio", "95 %", "goal", "verdict", "our accuracy %", "theirs %")
    rows = [
        (
            *(record[name] for name in named),
            f"{record['ours']:g}",
            f"{record['theirs']:g}",
            f"{record['ratio']:.2f}",
            f"{record['low']:.2f} to {record['high']:.2f}",
            f"{record['goal']:.2f}",
            record["verdict"],
            record.get("ours_accuracy", "–"),
            record.get("theirs_accuracy", "–"),
        )
        for record in records
    ]
    plans = [
        (
            each["work"],
            each["model"],
            f"{each['planned']:.3g}",
            f"{each['measured']:.3g}",
            each["unit"],
            f"{100 * each['off']:+.0f}",
        )
        for each in planned
    ]
    planned_header = ("work", "model", "planned", "measured", "unit", "off by %")
    return (
        f"# Training beside its peers\n\nMade by `make bench`: {about}. Medians; a ratio above 1 is ours being better. "
        f"Accuracy with its 95 % interval over {TEST_ROWS} test rows, of the first round. *Its products alone* is what "
        "the matrix products of the real tokens take at the rate of the largest: the ratio is the share that training "
        f"reaches.\n\n{tabulate(rows, header, tablefmt='github', disable_numparse=True)}\n\n"
        "The grid is 3 methods × 3 rates × 3 seeds (frozen: penalties), 320 rows, one epoch, the Trainer's frozen runs "
        "10 epochs; each peer's run is a process of its own, and the start of processes is in it.\n\n"
        f"## What `finetune plan` said before\n\n"
        f"{tabulate(plans, planned_header, tablefmt='github', disable_numparse=True)}\n\n"
        f"{LIMITS.read_text(encoding='utf-8')}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="of everybody (default: 3)")
    parser.add_argument("--only", default="", help="what holds this text in its name, and no table is written")
    given = parser.parse_args()
    ledger = Ledger("speed", given.rounds)
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for number in range(given.rounds):
            for index, work in enumerate(WORKS):
                rows = Path(folder) / str(index)
                jobs.append((key(work, "ours", number), partial(ours, work)))
                jobs += [(key(work, peer, number), partial(theirs, work, peer, rows)) for peer in work.peers]
                if work.method == "full":
                    jobs.append((key(work, "limit", number), partial(limit, work)))
            if number == 0:
                jobs += [(key(work, "plan", 0), partial(ours, work, "plan")) for work in WORKS]
        rows = Path(folder) / "grid"
        jobs += [("help", their_help), ("grid: ours", our_grid)]
        jobs += [(grid_key(*each), partial(their_run, *each, rows)) for each in GRID]
        jobs = [(what, how) for what, how in jobs if given.only in what]
        save_rows(grid_work("full"), rows)
        for index, work in enumerate(WORKS):
            if any(what not in ledger.entries and what.startswith(f"{work.recipe}, {work.name}") for what, _ in jobs):
                save_rows(work, Path(folder) / str(index))
        for what, how in tqdm(jobs, unit="run"):
            ledger.measure(what, how)
    if given.only:
        print(json.dumps({what: ledger.entries[what] for what, _ in jobs}, indent=1))
        return
    records = table(ledger, given.rounds)
    planned = foreseen(ledger, given.rounds)
    page = markdown(records, planned, ledger.conditions)
    ledger.publish(records, page)
    print(page)


if __name__ == "__main__":
    main()
