"""One process or three, a batch in one piece or in sixteen: how far apart the weights are after twenty updates.

    python tests/benchmarks/invariance.py

Every run is a program of its own, in float32 and without dropout, which has other random numbers in every process.
Writes outputs/tables/invariance.md and .json, in about a minute.
"""

from __future__ import annotations

import json

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


def made(world: int, size: str, own: Desk) -> Record:
    settings = SETTINGS | {"budget.micro_batch": size}
    more = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    out = own.folder / f"{world}-{size}"
    ended = own.run(out, world, more)
    assert ended.code == 0, ended.said
    (path,) = out.glob("*/*/result.json")
    return {"updates": json.loads(path.read_text())["updates"]}


def main() -> None:
    ledger = Ledger("invariance", 1)
    records: list[Record] = []
    with desk() as own:
        kinds = [(world, size) for world in WORLDS for size in PIECES]
        for world, size in tqdm(kinds):
            found = made(world, size, own)
            base, other = (weights(own.folder / name) for name in ("1-none", f"{world}-{size}"))
            largest = max(float(tensor.abs().max()) for tensor in base.values())
            far = apart(base, other)
            records.append({"processes": world, "pieces": size, "apart": far, "largest_weight": largest} | found)
    cells = [
        (str(world), *(f"{each['apart']:.1e}" for each in records if each["processes"] == world)) for world in WORLDS
    ]
    about = ", ".join(f"{name} {value}" for name, value in ledger.conditions.items() if name != "rounds")
    header = ("processes", "whole share", *(f"pieces of {size}" for size in PIECES[1:]))
    notes = (
        "largest difference of any weight from that of one process with whole batches, after "
        f"{records[0]['updates']} updates of 16 examples in float32; the largest weight is "
        f"{records[0]['largest_weight']:.1f}",
    )
    page = (
        f"# Invariance\n\nMade by `python tests/benchmarks/invariance.py`: {about}.\n\n"
        f"{Table(header, tuple(cells), notes).markdown()}\n"
    )
    ledger.publish(records, page)
    print(page)


if __name__ == "__main__":
    main()
