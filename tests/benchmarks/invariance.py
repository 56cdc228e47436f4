"""One process or three, a batch in one piece or in sixteen: how far apart the weights are after twenty updates.

    python tests/benchmarks/invariance.py

Every run is a program of its own, in float32 and without dropout, which has other random numbers in every process.
Writes outputs/tables/invariance.md and .json, in about a minute.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from desk import Desk, apart, desk, weights
from ledger import Ledger, Record
from tqdm import tqdm

from finetune.report.tables import Table

WORLDS = (1, 2, 3)
PIECES = ("none", "3", "1")  # the most examples in a forward pass
SETTINGS = {  # four updates an epoch, the last of fewer examples than the others
    "data.train": "60",
    "budget.batch_size": "16",
    "budget.epochs": "5",
    "checkpoint.system.dropout": "0",
}


def made(world: int, size: str, own: Desk) -> Path:
    """The folder of a run."""
    settings = SETTINGS | {"budget.micro_batch": size}
    more = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    out = own.folder / f"{world}-{size}"
    ended = own.run(out, world, more)
    assert ended.code == 0, ended.said
    return out


def updates(out: Path) -> int:
    (path,) = out.glob("*/*/result.json")
    return json.loads(path.read_text())["updates"]


def logits(out: Path) -> np.ndarray:
    (path,) = out.glob("*/*/predictions.jsonl")
    return np.array([json.loads(line)["logits"] for line in path.read_text().splitlines()])


def compared(one: Path, other: Path) -> Record:
    """How far another run is apart from one, in its weights and in what it answers."""
    base, weighed = weights(one), weights(other)
    return {
        "apart": apart(base, weighed),
        "apart_unseen": apart(base, weighed, unseen=True),
        "apart_logits": float(np.abs(logits(one) - logits(other)).max()),
        "updates": updates(other),
    }


def page(records: list[Record], about: str) -> str:
    cells = [
        (str(world), *(f"{each['apart']:.1e}" for each in records if each["processes"] == world)) for world in WORLDS
    ]
    header = ("processes", "whole share", *(f"pieces of {size}" for size in PIECES[1:]))
    far, told = (max(each[name] for each in records) for name in ("apart_unseen", "apart_logits"))
    notes = (
        "the largest difference of any weight from that of one process with whole batches, after "
        f"{records[0]['updates']} updates of 16 examples in float32, without dropout",
        f"without the biases of keys, which are up to {far:.1e} apart: they change no answer, so that their gradient "
        "is rounding alone, of which AdamW makes steps of full size",
        f"no logit of a test text is more than {told:.0e} apart, of those that are written with four decimals",
    )
    table = Table(header, tuple(cells), notes)
    return f"# Invariance\n\nMade by `python tests/benchmarks/invariance.py`: {about}.\n\n{table.markdown()}\n"


def main() -> None:
    ledger = Ledger("invariance", 1)
    kinds = [(world, size) for world in WORLDS for size in PIECES]
    with desk() as own:
        outs = {kind: made(*kind, own) for kind in tqdm(kinds)}
        records = [
            {"processes": world, "pieces": size} | compared(outs[kinds[0]], outs[world, size]) for world, size in kinds
        ]
    made_page = page(
        records, ", ".join(f"{name} {value}" for name, value in ledger.conditions.items() if name != "rounds")
    )
    ledger.publish(records, made_page)
    print(made_page)


if __name__ == "__main__":
    main()
