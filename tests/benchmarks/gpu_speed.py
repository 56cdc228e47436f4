"""Ours beside the stock ways to train, on a GPU: same rows, batch size, updates and learning rate, in turns.

    python tests/benchmarks/gpu_speed.py --seconds 300

Every training is a process of its own, a round is one of each, and there are as many rounds as the time suffices for.
Writes outputs/tables/gpu_speed.json and .md. It is no part of `make bench`, which any machine can run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import datasets
import torch
from ledger import TABLES, Record
from tabulate import tabulate
from training_speed import AS_USERS, AT_BEST, BATCH, MODELS, Work, better, ours, save_rows, theirs

WORKS = [
    Work(recipe="bert_r8", method="full", rows=4800, epochs=1, peers={AS_USERS: 1.0, AT_BEST: 1.0}, memory=1),
    Work(recipe="bert_r8", method="lora", rows=4800, epochs=1, peers={AS_USERS: 1.0}, memory=1),
]


def table(took: dict[tuple[str, str], list[Record]]) -> list[Record]:
    """Of every peer that was measured as often as ours."""
    records: list[Record] = []
    for work in WORKS:
        mine = took.get((work.name, "ours"), [])
        for peer, goal in work.peers.items():
            other = took.get((work.name, peer), [])
            rounds = min(len(mine), len(other))
            if rounds:
                labels = {"work": work.name, "model": MODELS[work.recipe], "peer": peer, "rounds": rounds}
                records.append(labels | better(mine[:rounds], other[:rounds], "train", "s", goal))
    return records


def markdown(records: list[Record]) -> str:
    header = ("work", "model", "peer", "rounds", "ours s", "theirs s", "ratio", "least to greatest")
    rows = [
        (
            *(record[name] for name in ("work", "model", "peer", "rounds")),
            f"{record['ours']:g}",
            f"{record['theirs']:g}",
            f"{record['ratio']:.2f}",
            f"{record['low']:.2f} to {record['high']:.2f}",
        )
        for record in records
    ]
    return (
        f"# Training on a GPU beside its peers\n\nMade by `python tests/benchmarks/gpu_speed.py`: "
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, one training at a time, {BATCH} rows an update. "
        "Seconds of updates alone, the first ones in them; medians of the rounds; a ratio above 1 is ours being "
        "faster. Ours has kernels only that add in one order, so that it can be stopped and go on to the same "
        f"bytes; its peers have any.\n\n{tabulate(rows, header, tablefmt='github', disable_numparse=True)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="no round begins after (default: 600)")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("torch finds no GPU; `make bench` compares on the processor")
    datasets.disable_progress_bars()
    until, took = time.monotonic() + given.seconds, dict[tuple[str, str], list[Record]]()
    with tempfile.TemporaryDirectory() as folder:
        save_rows(WORKS[0], Path(folder) / "rows")  # the same ones for every method
        while time.monotonic() < until:
            for work in WORKS:
                for who in ("ours", *work.peers):
                    done = ours(work) if who == "ours" else theirs(work, who, Path(folder) / "rows")
                    took.setdefault((work.name, who), []).extend(done)
                    print(f"{work.name}: {who} {done[0]['train']:.1f} s", flush=True)
                    records = table(took)
                    (TABLES / "gpu_speed.json").write_text(json.dumps(records, indent=1) + "\n", "utf-8")
                    (TABLES / "gpu_speed.md").write_text(markdown(records), "utf-8")
    print(markdown(table(took)))


if __name__ == "__main__":
    main()
