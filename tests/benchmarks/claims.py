"""How often a verdict is wrong, and how often it finds what is there: made-up experiments whose truth is known.

    python tests/benchmarks/claims.py

Writes outputs/tables/claims.md and .json, in minutes; stopped, it goes on from there.
"""

from __future__ import annotations

import itertools
import math
import sys
from functools import partial
from pathlib import Path

import numpy as np
from ledger import Ledger, Record
from tqdm import tqdm

from finetune import paired
from finetune.report.tables import Table

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))  # the made-up experiments lie there

EQUAL, APART = 10_000, 2000  # experiments of each kind: of systems that do not differ, and of such as do
ITEMS = (400, 2000)
SEEDS = ((2, 2), (3, 3), (5, 5), (2, 3), (2, 5), (3, 5), (2, 10), (3, 10))
WOBBLES = (0.0, 0.05, 0.1, 0.15, 0.4)
GAP = 0.3
LEAST, MOST = 93, 97  # % of intervals of 95 % that should hold the truth


def measured(items: int, seeds: tuple[int, int], wobble: float) -> list[Record]:
    from experiments import accuracy, experiment

    rng, own = np.random.default_rng(7), accuracy(GAP, wobble)
    true = own - accuracy(0.0, wobble)
    equal = [paired.difference(*experiment(rng, items, seeds, 0.0, wobble)) for _ in range(EQUAL)]
    scored = [experiment(rng, items, seeds, GAP, wobble) for _ in range(APART)]
    apart, shares = [paired.difference(*each) for each in scored], [paired.share(each[0]) for each in scored]
    return [
        {
            "items": items,
            "seeds": seeds,
            "wobble": wobble,
            "true": true,
            "claimed": sum(found.p < paired.LEVEL for found in equal) / EQUAL,
            "covered": sum(found.low <= true <= found.high for found in apart) / APART,
            "found": sum(found.p < paired.LEVEL and found.value > 0 for found in apart) / APART,
            "equivalent": sum(found.within(true) for found in apart) / APART,
            "alone": sum((each.low or 0.0) <= own <= (each.high or 1.0) for each in shares) / APART,
        }
    ]


def page(records: list[Record], about: str) -> str:
    rows = [
        (
            str(each["items"]),
            " and ".join(map(str, each["seeds"])),
            f"{each['wobble']:g}",
            *(f"{100 * each[name]:.1f}" for name in ("claimed", "covered", "true", "found", "equivalent", "alone")),
        )
        for each in records
    ]
    ends = {name: sorted(100 * each[name] for each in records) for name in ("claimed", "covered", "equivalent")}
    notes = (
        f"experiments of a kind: {EQUAL} of equal systems, {APART} of others; one standard error of 5 % is "
        f"{100 * math.sqrt(0.05 * 0.95 / EQUAL):.1f} and {100 * math.sqrt(0.05 * 0.95 / APART):.1f}",
        "a seed makes a system better or worse on all rows by a normal number of the deviation in *seeds differ by*, "
        "where rows differ by 1.3 and what neither explains by 0.7",
        f"of all kinds: equal systems claimed better {ends['claimed'][0]:.1f} to {ends['claimed'][-1]:.1f} %, such as "
        f"are apart by the margin called equivalent {ends['equivalent'][0]:.1f} to {ends['equivalent'][-1]:.1f} %, "
        f"intervals that hold the truth {ends['covered'][0]:.1f} to {ends['covered'][-1]:.1f} %",
        f"{sum(LEAST <= share <= MOST for share in ends['covered'])} of {len(records)} kinds hold it in {LEAST} to "
        f"{MOST} %, {sum(share < LEAST for share in ends['covered'])} in less; the others, of "
        f"{wider(records)}, are wider than they had to be: of so few seeds it is not known by how much they differ, "
        "and none of the tried intervals that are narrower there claims as little where nothing is",
        f"the interval of one system, which stands in every table, holds its accuracy in {alone(records)}: two seeds "
        "may agree by chance, and then say nothing of a third",
    )
    header = (
        "test rows",
        "seeds",
        "seeds differ by",
        "equal, claimed better %",
        "95 % interval holds the truth %",
        "true difference, points",
        "found %",
        "apart by the margin, called equivalent %",
        "interval of the first alone holds its accuracy %",
    )
    table = Table(header, tuple(rows), notes)
    return f"# Claims\n\nMade by `python tests/benchmarks/claims.py`: {about}.\n\n{table.markdown()}\n"


def wider(records: list[Record]) -> str:
    """How many of the kinds whose intervals hold the truth too often have as many seeds of both, or not."""
    equal = [each["seeds"][0] == each["seeds"][1] for each in records if 100 * each["covered"] > MOST]
    return f"unequal numbers of seeds ({equal.count(False)}) or of two or three ({equal.count(True)})"


def alone(records: list[Record]) -> str:
    """How often the interval of a single system holds the truth, by how many seeds it is of."""
    held: dict[int, list[float]] = {}
    for each in records:
        held.setdefault(each["seeds"][0], []).append(100 * each["alone"])
    of_seeds = (f"{min(shares):.1f} to {max(shares):.1f} % with {seeds} seeds" for seeds, shares in held.items())
    return ", ".join(of_seeds)


def main() -> None:
    ledger = Ledger("claims", EQUAL, [TESTS / "experiments.py"])
    kinds = list(itertools.product(ITEMS, SEEDS, WOBBLES))
    for kind in tqdm(kinds):
        ledger.measure(str(kind), partial(measured, *kind))
    records = [record for kind in kinds for record in ledger.entries[str(kind)]]
    made = page(records, f"two systems of no real data, numpy {np.__version__}")
    ledger.publish(records, made)
    print(made)


if __name__ == "__main__":
    main()
