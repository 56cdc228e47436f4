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
UNLIKE = ((0.15, 0.0), (0.0, 0.15), (0.4, 0.1))  # as those of a trained and of a frozen backbone
KINDS = tuple(
    (items, seeds, wobbles)
    for items, seeds in itertools.product(ITEMS, SEEDS)
    for wobbles in (*((each, each) for each in WOBBLES), *UNLIKE)
    if not (seeds[0] == seeds[1] and wobbles == UNLIKE[1])  # of as many of both it is the first, turned
)
GAP = 0.3
LEAST, MOST = 93, 97  # % of intervals of 95 % that should hold the truth


def measured(items: int, seeds: tuple[int, int], wobbles: tuple[float, float]) -> list[Record]:
    from experiments import accuracy, even, experiment, truth

    rng, fair = np.random.default_rng(7), even(*wobbles)
    gap = fair + GAP
    own, true = accuracy(gap, wobbles[0]), truth(gap, *wobbles)
    equal = [paired.difference(*experiment(rng, items, seeds, fair, *wobbles)) for _ in range(EQUAL)]
    scored = [experiment(rng, items, seeds, gap, *wobbles) for _ in range(APART)]
    apart, shares = [paired.difference(*each) for each in scored], [paired.share(each[0]) for each in scored]
    return [
        {
            "items": items,
            "seeds": seeds,
            "wobbles": wobbles,
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
            " and ".join(f"{wobble:g}" for wobble in dict.fromkeys(each["wobbles"])),
            *(f"{100 * each[name]:.1f}" for name in ("claimed", "covered", "true", "found", "equivalent", "alone")),
        )
        for each in records
    ]
    less = [each for each in records if 100 * each["covered"] < LEAST]
    more = [each for each in records if 100 * each["covered"] > MOST]
    notes = (
        f"experiments of a kind: {EQUAL} of equal systems, {APART} of others; one standard error of 5 % is "
        f"{100 * math.sqrt(0.05 * 0.95 / EQUAL):.1f} and {100 * math.sqrt(0.05 * 0.95 / APART):.1f}",
        "a seed makes a system better or worse on all rows by a normal number of the deviation in *seeds differ by*, "
        "of both or of each, where rows differ by 1.3 and what neither explains by 0.7",
        f"of equal systems whose seeds differ alike, {ranges(alike(records), 'claimed')} are claimed better; of others "
        f"{ranges(unlike(records), 'claimed')}",
        f"of systems apart by the margin whose seeds differ alike, {ranges(alike(records), 'equivalent')} are called "
        f"equivalent; of others {ranges(unlike(records), 'equivalent')}",
        "of systems whose seeds differ alike, 95 % intervals hold the truth in "
        f"{ranges(alike(records), 'covered')}; of others in {ranges(unlike(records), 'covered')}",
        f"{len(records) - len(less) - len(more)} of {len(records)} kinds hold it in {LEAST} to {MOST} %; {len(less)} "
        f"in less, of which in {len(unlike(less))} seeds do not differ alike and {len(unequal(less))} have unequal "
        f"numbers of them; {len(more)} in more, of which {len(unequal(more))} have unequal numbers: of two or three "
        "seeds it is hardly known by how much they differ",
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


def alike(records: list[Record]) -> list[Record]:
    return [each for each in records if each["wobbles"][0] == each["wobbles"][1]]


def unlike(records: list[Record]) -> list[Record]:
    return [each for each in records if each["wobbles"][0] != each["wobbles"][1]]


def unequal(records: list[Record]) -> list[Record]:
    return [each for each in records if each["seeds"][0] != each["seeds"][1]]


def ranges(records: list[Record], name: str) -> str:
    """From the least to the most, by how many seeds there are of both, or of the one that has fewer."""
    of_seeds: dict[str, list[float]] = {}
    for each in records:
        fewer, more = sorted(each["seeds"])
        seeds = f"{fewer} seeds each" if fewer == more else f"{fewer} seeds beside more"
        of_seeds.setdefault(seeds, []).append(100 * each[name])
    return ", ".join(f"{min(each):.1f} to {max(each):.1f} % ({seeds})" for seeds, each in of_seeds.items())


def alone(records: list[Record]) -> str:
    """How often the interval of a single system holds the truth, by how many seeds it is of."""
    held: dict[int, list[float]] = {}
    for each in records:
        held.setdefault(each["seeds"][0], []).append(100 * each["alone"])
    of_seeds = (f"{min(shares):.1f} to {max(shares):.1f} % with {seeds} seeds" for seeds, shares in held.items())
    return ", ".join(of_seeds)


def main() -> None:
    ledger = Ledger("claims", EQUAL, [TESTS / "experiments.py"])
    for kind in tqdm(KINDS):
        ledger.measure(str(kind), partial(measured, *kind))
    records = [record for kind in KINDS for record in ledger.entries[str(kind)]]
    made = page(records, f"two systems of no real data, numpy {np.__version__}")
    ledger.publish(records, made)
    print(made)


if __name__ == "__main__":
    main()
