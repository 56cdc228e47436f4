"""How memory grows with the rows of a file: a tiny model, so that what is seen is the data.

    make bench            or    python tests/benchmarks/rows_memory.py

Every run is a process of its own, from a CSV to its predictions, with an empty cache. Writes
outputs/tables/rows_memory.json and .md.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ledger import Ledger
from tabulate import tabulate
from training_speed import process

COUNTS = (10_000, 100_000, 1_000_000)
METHODS = ("full", "frozen")


def main() -> None:
    ledger = Ledger("rows_memory", 1)
    records: list[dict[str, Any]] = []
    for method in METHODS:
        for count in COUNTS:
            what = f"{method}, {count} rows"
            job = {"rows": count, "method": method}
            ledger.measure(what, partial(process, "ours.py", {"kind": "rows", "job": job}))
            found = ledger.entries[what][0]
            records.append({"method": method, "rows": count, "peak_mb": found["peak_mb"], "seconds": found["process"]})
    rows = [(r["method"], f"{r['rows']:,}", f"{r['peak_mb']:.0f}", f"{r['seconds']:.0f}") for r in records]
    header = ("method", "rows", "peak resident MB", "whole process s")
    about = ", ".join(f"{name} {value}" for name, value in ledger.conditions.items())
    page = (
        f"# Memory and rows\n\nMade by `make bench`: {about}. A CSV of so many rows through a tiny BERT, one epoch, "
        "from the file to the predictions, nothing in the cache.\n\n"
        f"{tabulate(rows, header, tablefmt='github', disable_numparse=True)}\n"
    )
    ledger.publish(records, page)
    print(page)


if __name__ == "__main__":
    main()
