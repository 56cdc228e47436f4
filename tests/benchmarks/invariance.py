"""One process or three, the model whole or spread, a batch in pieces: how far weights are apart after twenty updates.

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
from finetune.zero import ASKED, VERSION

LAYOUTS = ((1, "whole"), (2, "whole"), (3, "whole"), (2, "spread"), (3, "spread"))  # processes, and what each holds
SPREAD = {ASKED: "true", VERSION: "2"}  # what a launcher says
PIECES = ("none", "3", "1")  # the most examples in a forward pass
SETTINGS = {  # four updates an epoch, the last of fewer examples than the others
    "data.train": "60",
    "budget.batch_size": "16",
    "budget.epochs": "5",
    "checkpoint.system.dropout": "0",
}


def made(world: int, layout: str, size: str, own: Desk) -> Path:
    """The folder of a run."""
    settings = SETTINGS | {"budget.micro_batch": size}
    more = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    out = own.folder / f"{world}-{layout}-{size}"
    ended = own.run(out, world, more, **SPREAD if layout == "spread" else {})
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
        (
            str(world),
            layout,
            *(f"{each['apart']:.1e}" for each in records if (each["processes"], each["model"]) == (world, layout)),
        )
        for world, layout in LAYOUTS
    ]
    header = ("processes", "model", "whole share", *(f"pieces of {size}" for size in PIECES[1:]))
    far, told = (max(each[name] for each in records) for name in ("apart_unseen", "apart_logits"))
    notes = (
        "the largest difference of any weight from that of one process with whole batches, after "
        f"{records[0]['updates']} updates of 16 examples in float32, without dropout",
        f"without the biases of keys, which are up to {far:.1e} apart: they change no answer, so that their gradient "
        "is rounding alone, of which AdamW makes steps of full size",
        "spread: each process holds a share of weights, gradients and moments (recipes/machines/fsdp2.yaml)",
        f"no logit of a test text is more than {told:.0e} apart, of those that are written with four decimals",
    )
    table = Table(header, tuple(cells), notes)
    return f"# Invariance\n\nMade by `python tests/benchmarks/invariance.py`: {about}.\n\n{table.markdown()}\n"


def main() -> None:
    ledger = Ledger("invariance", 1)
    kinds = [(*layout, size) for layout in LAYOUTS for size in PIECES]
    with desk() as own:
        outs = {kind: made(*kind, own) for kind in tqdm(kinds)}
        records = [
            {"processes": kind[0], "model": kind[1], "pieces": kind[2]} | compared(outs[kinds[0]], outs[kind])
            for kind in kinds
        ]
    made_page = page(
        records, ", ".join(f"{name} {value}" for name, value in ledger.conditions.items() if name != "rounds")
    )
    ledger.publish(records, made_page)
    print(made_page)


if __name__ == "__main__":
    main()
