"""Which of two ways to train is better, on the same test items: claimed only where items and seeds both bear it out.

S seeds, N test items.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from finetune import paired, stats
from finetune.errors import InputError
from finetune.items import shared_groups
from finetune.paired import LEVEL, Difference
from finetune.system import System, check_fit, contents, effective, estimate, in_common, right, rows_of

FREE = 0.01  # seconds; what takes less has not trained, and nothing is so many times that
FEW_PAIRS = 6  # of one seed each
MARGIN = 0.01  # of the score: systems that differ by less are taken for equals


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is known of two systems. Of unequal ones, `ours` is the one with the higher score."""

    kind: Literal["better", "equivalent", "undecided"]
    ours: str
    theirs: str
    metric: str
    found: Difference
    p: float  # of no difference, as it counts among all of its recipe, or all of two recipes
    among: int  # so many
    margin: float
    cost: float | None  # seconds of a run of ours over those of theirs; None: of different machines
    items: int | None  # about how many test items, at these seeds, would settle it; None: no number would, or it is
    seeds: int | None  # the same of seeds, at these items
    unit: str  # what is independent of each other: seeds, or draws of training rows
    sample: str  # and what else is: test rows, or groups of them

    @property
    def sentence(self) -> str:
        """For people, with the numbers it rests on and what would change it."""
        found, points = self.found, f"{100 * self.margin:g} point{'s' * (self.margin != 0.01)}"
        seeds = " and ".join(map(str, dict.fromkeys(found.seeds)))
        over_what = f"{found.n} {self.sample}, {seeds} {self.unit}"
        gap = f"{self.metric} {signed(found.value)} points"
        over = f"95 % interval {signed(found.low)} to {signed(found.high)}"
        chance = f"p {_p(self.p)}{f' among {self.among} comparisons' * (self.among > 1)}"
        if self.kind == "better":
            return f"{self.ours} is better than {self.theirs}: {gap} ({over}, {chance}; {over_what}), {self._cost}"
        if self.kind == "equivalent":
            within = f"90 % interval {signed(found.below)} to {signed(found.above)}"
            same = f"{self.ours} and {self.theirs} are equivalent within {points}"
            return f"{same}: {gap} ({within}; {over_what}), {self._cost}"
        return (
            f"{self.ours} or {self.theirs} is undecided: {gap} ({over}, {chance}; {over_what}), {self._cost}; "
            f"{self._would_settle}"
        )

    @property
    def _cost(self) -> str:
        match self.cost:
            case None:
                return "times are of different machines"
            case 0.0:
                return "in no time"
            case math.inf:
                return f"and {self.theirs} takes no time"
        return f"in {self.cost:.2g} times the time"

    @property
    def _would_settle(self) -> str:
        ways = []
        if self.items is not None:
            ways.append(f"about {self.items} {self.sample}")
        if self.seeds is not None:
            ways.append(f"about {self.seeds} {self.unit}")
        what = " or ".join(ways) or f"more {self.sample} and {self.unit}"
        widest = 100 * max(-self.found.below, self.found.above)
        power = f"a difference of {100 * self.found.detectable:.2g} points would be found in 4 of 5 such experiments"
        return f"{what} would settle it in 4 of 5; {power}; within {widest:.2g} points they are equivalent"


def judge(systems: Sequence[System], margin: float = MARGIN) -> list[Verdict]:
    """A verdict on every two systems; the chance of any "better" where there is none stays at 5 % for all together
    that are of one recipe, and for all together that are of two.

    What else stands in a table then changes nothing about the methods of a recipe.

    Raises:
        InputError: the margin is not above 0; a system has fewer than two seeds, a run that came to no score, or scores
            that are not of single examples; two were tested on different examples, or their data changed in between.
    """
    check_margin(margin)
    for system in systems:
        check_fit(system)
    pairs = list(itertools.combinations(systems, 2))
    for one, other in pairs:
        _check_alike(one, other)
    pairs = [(one, other) for one, other in map(in_common, pairs)]
    found = [_of_shares(*pair) for pair in pairs]
    families = [_family(*pair) for pair in pairs]
    verdicts = dict[int, Verdict]()
    for family in dict.fromkeys(families):
        own = [number for number, each in enumerate(families) if each == family]
        for number, p in zip(own, paired.holm([found[number].p for number in own]), strict=True):
            verdicts[number] = _verdict(*pairs[number], found[number], p, len(own), margin)
    return [verdicts[number] for number in range(len(pairs))]


def _of_shares(one: System, other: System) -> Difference:
    """No two are farther apart than none and all, which Student's interval of few seeds knows nothing of."""
    found = paired.difference(right(one), right(other), effective(one))
    ends = {name: min(1.0, max(-1.0, getattr(found, name))) for name in ("low", "high", "below", "above")}
    return replace(found, **ends)


def _family(one: System, other: System) -> str | None:
    """The recipe that both are of; None: they are of two."""
    names = {system.runs[0].recipe["name"] for system in (one, other)}
    return names.pop() if len(names) == 1 else None


def of_one_seed(pairs: Sequence[tuple[System, System]]) -> list[str]:
    """What test rows alone tell of systems with one run each: no verdict, for other seeds may differ by more.

    Nothing is said of more than a few pairs: that many are looked through for one that stands out.

    Raises:
        InputError: two were tested on different examples, or their data changed in between.
    """
    if len(pairs) > FEW_PAIRS:
        return [f"{len(pairs)} pairs of one seed each: 2 or more seeds are needed to tell what is better"]
    pairs = [_higher_first(*in_common(pair)) for pair in pairs]
    rows = [_rows(*pair) for pair in pairs]
    tests = [_of_rows(*each) for each in rows]
    counted = paired.holm([p for _, p in tests])
    return [
        _said_of_rows(*pair, *each, test, p)
        for pair, each, (test, _), p in zip(pairs, rows, tests, counted, strict=True)
    ]


def _higher_first(one: System, other: System) -> tuple[System, System]:
    _check_alike(one, other)
    return (one, other) if estimate(one).value >= estimate(other).value else (other, one)


def _of_rows(ours_N: np.ndarray, theirs_N: np.ndarray, groups_N: np.ndarray | None) -> tuple[str, float]:
    """The name of a test of no difference, and its p. Of groups the answers to all rows of one are swapped at once."""
    if groups_N is not None:
        ours_N, theirs_N = stats.summed(np.stack([ours_N, theirs_N], axis=1), groups_N).T
    elif np.isin((ours_N, theirs_N), (0, 1)).all():
        return "McNemar's exact test", paired.mcnemar(ours_N == 1, theirs_N == 1)
    return "a permutation test", paired.permutation(ours_N, theirs_N)


def _said_of_rows(
    ours: System,
    theirs: System,
    ours_N: np.ndarray,
    theirs_N: np.ndarray,
    groups_N: np.ndarray | None,
    test: str,
    p: float,
) -> str:
    found = stats.mean(ours_N - theirs_N, groups_N)
    low, high = (found.low, found.high) if groups_N is not None else paired.bootstrap(ours_N, theirs_N)
    assert low is not None  # of one group there are no pairs
    assert high is not None
    count = len(ours_N if groups_N is None else np.unique(groups_N))
    gap = f"{ours.runs[0].headline} {signed(found.value)} points"
    over = f"95 % interval {signed(low)} to {signed(high)}, p {_p(p)} by {test}"
    rows = f"by the {count} {ours.sample} alone; another seed may say otherwise"
    return f"{ours.name} against {theirs.name}, of one seed each: {gap} ({over}) {rows}"


def _rows(ours: System, theirs: System) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What each of two runs scored on each test row, and which of the rows are of one group, if they are of any."""
    items = [run.items for system in (ours, theirs) for run in system.runs if run.items is not None]
    ours_N, theirs_N = (each.unpacked() for each in items)
    return ours_N, theirs_N, shared_groups(items)


def check_margin(margin: float) -> None:
    """
    Raises:
        InputError: nothing can be equal within it, or everything is.
    """
    if not 0 < margin < 1:
        why = "no two scores are farther apart" if margin >= 1 else "no test shows that two are exactly the same"
        raise InputError(f"margin must be above 0 and below 100 points, got {100 * margin:g}: {why}")


def _check_alike(one: System, other: System) -> None:
    """
    Raises:
        InputError: what they were tested on differs, or what they were trained on has changed in between.
    """
    if rows_of(one) != rows_of(other):
        raise InputError(
            f"{one.name} and {other.name} were tested on different rows; with the same data, split.seed and "
            "split.test_rows they are the same"
        )
    for sums in contents((*one.runs, *other.runs)).values():
        if len(sums) > 1:
            raise InputError(
                f"the data of {one.name} and {other.name} has changed in between, from sha256 "
                f"{' to '.join(each[:8] for each in sums)}; run both again"
            )


def _verdict(one: System, other: System, found: Difference, p: float, among: int, margin: float) -> Verdict:
    if found.value < 0:
        one, other, found = other, one, found.turned
    kind = "equivalent" if found.within(margin) else "better" if p < LEVEL else "undecided"
    items, seeds = paired.needed(found, margin, among) if kind == "undecided" else (None, None)
    return Verdict(
        kind=kind,
        ours=one.name,
        theirs=other.name,
        metric=one.runs[0].headline,
        found=found,
        p=p,
        among=among,
        margin=margin,
        cost=_ratio(one.seconds, other.seconds) if one.machines == other.machines else None,
        items=items,
        seeds=seeds,
        unit=one.unit,
        sample=one.sample,
    )


def _ratio(ours: float, theirs: float) -> float:
    """Of seconds; 0 and infinity where one has not trained, 1 where neither has."""
    if theirs < FREE:
        return 1.0 if ours < FREE else math.inf
    return 0.0 if ours < FREE else ours / theirs


def signed(value: float) -> str:
    """A difference of scores in points."""
    return f"{100 * value:+.2f}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "below 0.001"
