"""How often the 95 % intervals of eleven scores hold the truth, and of four where items come in groups: made-up test
sets whose truth is known.

    python tests/benchmarks/intervals.py

Writes outputs/tables/intervals.md and .json, in minutes; stopped, it goes on from there. Of two systems, over seeds
too, `claims.py` tells; BLEU and chrF have the interval of the F1 of spans (`resampling.resampled`), ROUGE that of a
mean.

N test items, C classes, K counts of an item.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from ledger import Ledger, Record
from tqdm import tqdm

from finetune import correlation, paired, resampling, stats
from finetune.metrics import MacroF1, Matthews
from finetune.report.tables import Table
from finetune.spans import _f1, _resampled
from finetune.stats import Estimate

EXPERIMENTS = 2000
ITEMS = (100, 400)
ENDS = ("covered", "above", "below")
LEAST, MOST = 93, 97  # % of intervals of 95 % that should hold the truth
CLASSES = np.array([0.5, 0.3, 0.2])  # how many items are of each
RIGHT = 0.85  # of the items of a class; the others are said to be of any
TOGETHER = 0.8  # correlation of two normal numbers

Draw = Callable[[np.random.Generator, int], Estimate]


def confusion() -> np.ndarray:
    """The shares (C, C) of items of each class that are said to be of each."""
    return CLASSES[:, None] * (RIGHT * np.eye(3) + (1 - RIGHT) / 3)


def of_classes(metric: type[MacroF1 | Matthews], rng: np.random.Generator, items: int) -> Estimate:
    cells_N = rng.choice(9, size=items, p=confusion().ravel())
    targets_N, outputs_N = cells_N // 3, cells_N % 3
    score = (metric.formula(targets_N, outputs_N), metric.of_confusion)
    return resampling.bootstrap(targets_N, outputs_N, {metric.key: score})[metric.key]


def share(chance: float, rng: np.random.Generator, items: int) -> Estimate:
    return stats.proportion(int(rng.binomial(items, chance)), items)


def errors(rng: np.random.Generator, items: int) -> Estimate:
    """The mean of what is never below zero, such as an error."""
    return stats.mean(rng.gamma(2.0, 0.5, size=items))


def losses(rng: np.random.Generator, items: int) -> Estimate:
    """Per token, where long texts are easier."""
    tokens_N = 1 + rng.poisson(20, size=items)
    return stats.rate(tokens_N * rng.gamma(4.0, 0.25, size=items) + 10, tokens_N)


def spread(rng: np.random.Generator, items: int) -> Estimate:
    """The geometric mean of numbers over powers of ten."""
    return stats.geometric(np.exp(rng.normal(0.0, 2.0, size=items)))


def numbers(score: Callable[[np.ndarray, np.ndarray], Estimate], rng: np.random.Generator, items: int) -> Estimate:
    one_N, other_N = rng.normal(size=(2, items))
    return score(one_N, TOGETHER * one_N + math.sqrt(1 - TOGETHER**2) * other_N)


def spans(rng: np.random.Generator, items: int) -> Estimate:
    """F1 of what is found in texts: hits, what was told, and what is there."""
    there_N = rng.poisson(2.0, size=items)
    hits_N, more_N = rng.binomial(there_N, 0.8), rng.poisson(0.3, size=items)
    counts_NK = np.stack([hits_N, hits_N + more_N, there_N], axis=1)
    return _resampled(counts_NK, _f1)


def pair(rng: np.random.Generator, items: int) -> Estimate:
    """The difference of two systems of one seed: nine items in ten that the one has right, the other has too."""
    ours_N = rng.random(items) < 0.9
    theirs_N = np.where(ours_N, rng.random(items) < 0.9, rng.random(items) < 0.4)
    low, high = paired.bootstrap(ours_N.astype(float), theirs_N.astype(float))
    return Estimate(float(ours_N.mean() - theirs_N.mean()), low, high, items)


def gathered(rng: np.random.Generator, items: int, wide: float = 0.0) -> np.ndarray:
    """The group (N,) of each item: of one to seven; or of sizes about four whose logarithms have such a deviation, each
    at most a quarter of all.
    """
    sizes = np.exp(rng.normal(math.log(4), wide, size=items)).astype(int) if wide else rng.integers(1, 8, size=items)
    return np.repeat(np.arange(items), sizes.clip(1, items // 4))[:items]


def chances(groups_N: np.ndarray, mean: float, rng: np.random.Generator) -> np.ndarray:
    """How likely (N,) each item is right: some groups are easy, as a film is that all like."""
    return rng.beta(2 * mean, 2 * (1 - mean), size=int(groups_N.max()) + 1)[groups_N]


def share_of_groups(wide: float, rng: np.random.Generator, items: int) -> Estimate:
    groups_N = gathered(rng, items, wide)
    return stats.share(rng.random(items) < chances(groups_N, 0.8, rng), groups_N)


def classes_of_groups(rng: np.random.Generator, items: int) -> Estimate:
    """Macro F1, where a group has the same mistakes: either none, or twice as many as there are on the whole."""
    groups_N, targets_N = gathered(rng, items), rng.choice(3, size=items, p=CLASSES)
    wrong_N = rng.random(items) < 2 * (1 - RIGHT) * rng.integers(2, size=int(groups_N.max()) + 1)[groups_N]
    outputs_N = np.where(wrong_N, rng.integers(3, size=items), targets_N)
    score = (MacroF1.formula(targets_N, outputs_N), MacroF1.of_confusion)
    return resampling.bootstrap(targets_N, outputs_N, {MacroF1.key: score}, groups_N)[MacroF1.key]


def numbers_of_groups(rng: np.random.Generator, items: int) -> Estimate:
    """Pearson's correlation, of numbers half of whose variance a group has in common."""
    groups_N = gathered(rng, items)
    one_N, other_N = math.sqrt(0.5) * (rng.normal(size=(2, items)) + rng.normal(size=(2, items))[:, groups_N])
    return correlation.pearson(one_N, TOGETHER * one_N + math.sqrt(1 - TOGETHER**2) * other_N, groups_N)


def pair_of_groups(rng: np.random.Generator, items: int) -> Estimate:
    """The difference of two systems of one seed, one of which is better at some groups and worse at others."""
    groups_N = gathered(rng, items)
    ours_N, theirs_N = (rng.random(items) < chances(groups_N, mean, rng) for mean in (0.85, 0.8))
    return stats.mean(ours_N.astype(float) - theirs_N, groups_N)


def kinds() -> Iterable[tuple[str, str, float, Draw]]:
    """What is scored, how its interval is made, the truth, and an experiment."""
    whole = confusion()[None]
    yield "share of 0.9", "Wilson", 0.9, partial(share, 0.9)
    yield "share of 0.98", "Wilson", 0.98, partial(share, 0.98)
    of_all = float(MacroF1.of_confusion(whole * 1e6)[0])  # in groups wrong are as many of each class
    yield "macro F1", "percentile bootstrap", of_all, partial(of_classes, MacroF1)
    yield "Matthews", "percentile bootstrap", float(Matthews.of_confusion(whole)[0]), partial(of_classes, Matthews)
    yield "F1 of spans", "percentile bootstrap", 2 * 1.6 / (1.6 + 0.3 + 2.0), spans
    yield "Pearson", "percentile bootstrap", TOGETHER, partial(numbers, correlation.pearson)
    ranked = 6 / math.pi * math.asin(TOGETHER / 2)
    yield "Spearman", "percentile bootstrap", ranked, partial(numbers, correlation.spearman)
    yield "mean error", "Student", 1.0, errors
    yield "loss of a token", "Student, of a ratio", 1 + 10 / 21, losses
    yield "geometric mean", "Student, of logarithms", 1.0, spread
    yield "difference of shares", "BCa bootstrap, in pairs", 0.9 - 0.9 * 0.9 - 0.1 * 0.4, pair
    yield "share of 0.8, in groups", "Wilson, of groups", 0.8, partial(share_of_groups, 0.0)
    yield "share of 0.8, in groups of very unequal sizes", "Wilson, of groups", 0.8, partial(share_of_groups, 1.0)
    yield "macro F1, in groups", "percentile bootstrap, of groups", of_all, classes_of_groups
    yield "Pearson, in groups", "percentile bootstrap, of groups", TOGETHER, numbers_of_groups
    yield "difference of shares, in groups", "Student, of groups in pairs", 0.05, pair_of_groups


def measured(truth: float, draw: Draw, items: int) -> list[Record]:
    rng = np.random.default_rng(7)
    found = [draw(rng, items) for _ in range(EXPERIMENTS)]
    ends = [(each.low, each.high) for each in found if each.low is not None and each.high is not None]
    assert len(ends) == EXPERIMENTS
    above, below = sum(truth < low for low, _ in ends), sum(high < truth for _, high in ends)
    counts = {"covered": EXPERIMENTS - above - below, "above": above, "below": below}
    return [{"items": items, "truth": truth, **{name: count / EXPERIMENTS for name, count in counts.items()}}]


def page(records: dict[tuple[str, str], list[Record]], about: str) -> str:
    rows = [
        (what, how, str(each["items"]), f"{each['truth']:.3f}", *(f"{100 * each[name]:.1f}" for name in ENDS))
        for (what, how), found in records.items()
        for each in found
    ]
    shares = [100 * each["covered"] for found in records.values() for each in found]
    within = sum(LEAST <= each <= MOST for each in shares)
    notes = (
        f"{EXPERIMENTS} experiments of a kind; one standard error of 95 % is "
        f"{100 * math.sqrt(0.05 * 0.95 / EXPERIMENTS):.1f}",
        f"{within} of {len(shares)} hold the truth in {LEAST} to {MOST} % ({min(shares):.1f} to {max(shares):.1f})",
    )
    header = ("score", "interval", "test items", "truth", "holds it %", "lies above it %", "lies below it %")
    table = Table(header, tuple(rows), notes)
    return f"# Intervals\n\nMade by `python tests/benchmarks/intervals.py`: {about}.\n\n{table.markdown()}\n"


def main() -> None:
    ledger = Ledger("intervals", EXPERIMENTS)
    found: dict[tuple[str, str], list[Record]] = {}
    for what, how, truth, draw in tqdm(list(kinds())):
        for items in ITEMS:
            key = f"{what}, {items}"
            ledger.measure(key, partial(measured, truth, draw, items))
            found.setdefault((what, how), []).extend(ledger.entries[key])
    records = [{"score": what, "interval": how, **each} for (what, how), each_of in found.items() for each in each_of]
    made = page(found, f"test sets of no real data, numpy {np.__version__}")
    ledger.publish(records, made)
    print(made)


if __name__ == "__main__":
    main()
