"""A benchmark table as a value: which runs of ours stand beside which published numbers, and which they reproduce.

A table is a file of `recipes/tables/` with one variable `table`. It imports no recipe: recipes are named as on the
command line, so that a table is rendered from its records without a model.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from finetune.errors import InputError, one_of
from finetune.parts import declared, hints
from finetune.stats import standard_error

STOCK = "stock"  # the checkpoint's own attention
Control = Literal["untrained", "shuffled"]  # as `finetune.controls` makes them of a recipe


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number that others measured: a share, as are its deviation and its error. None is what was not said."""

    system: str
    value: float
    source: str  # where it was read, in words
    high: float | None = None  # the upper end where a range was published, of which `value` is the lower
    score: str = "accuracy"
    n: int | None = None  # test rows
    seeds: int | None = None
    deviation: float | None = None  # over seeds
    reproduced_by: str | None = None  # the row of ours with the same checkpoint, data and method: "bert_sst2 full"

    def __post_init__(self) -> None:
        _hold(self, "published")
        for name, share in (("value", self.value), ("high", self.high), ("deviation", self.deviation)):
            if share is not None and not 0 <= share <= 1:
                raise InputError(f"published.{name} is a share and must be in [0, 1], got {share:g}")
        if self.high is not None and self.high < self.value:
            raise InputError(f"published.high must be at least the value {self.value:g}, got {self.high:g}")
        for name, count in (("n", self.n), ("seeds", self.seeds)):
            if count is not None and count < 1:
                raise InputError(f"published.{name} must be at least 1 or none, got {count}")
        if not self.source.strip():
            raise InputError(f"published.source must say where {self.system} was read, got {self.source!r}")

    @property
    def error(self) -> float | None:
        """Its standard error over test rows, and over seeds where enough of them is known; None: not known.

        Of n rows only that of a share of right ones follows, which no other score is.
        """
        if self.n is None or self.score != "accuracy":
            return None
        over_seeds = self.deviation**2 / self.seeds if self.deviation is not None and self.seeds else 0.0
        return math.sqrt(standard_error(self.value, self.n) ** 2 + over_seeds)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of ours: runs that differ in nothing but the seed."""

    recipe: str
    method: str
    attention: str
    settings: tuple[str, ...]
    seeds: int
    control: Control | None

    @property
    def of(self) -> str:
        """The name of its recipe; a file of yours is to be called as its recipe."""
        return Path(self.recipe).name.removesuffix(".py")

    @property
    def names(self) -> tuple[str, str, str]:
        """As the records of its runs say them."""
        return self.of if self.control is None else f"{self.of}+{self.control}", self.method, self.attention

    @property
    def label(self) -> str:
        """For people."""
        return " ".join(self.names if self.attention != STOCK else self.names[:2])


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Every recipe with every method, attention and combination of what is varied, each with so many seeds."""

    recipes: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: int
    attentions: tuple[str, ...] = (STOCK,)
    settings: tuple[str, ...] = ()  # `field=value`, as `--set` takes them; a row without the field stays as it is
    varied: tuple[tuple[str, ...], ...] = ()  # lists of more such settings, of each of which a row has one
    # random weights, or training labels dealt out anew, for rows that are to be beaten; settings of what these are made
    # of have a longer path: checkpoint.of.…, data.of.…
    control: Control | None = None

    def __post_init__(self) -> None:
        _hold(self, "runs")
        for name in ("recipes", "methods", "attentions"):
            if not getattr(self, name):
                raise InputError(f"runs.{name} must name at least one")
        if self.seeds < 1:
            raise InputError(f"runs.seeds must be at least 1, got {self.seeds}")
        for name, settings in (("settings", self.settings), *(("varied", each) for each in self.varied)):
            for setting in settings:
                if "=" not in setting:
                    raise InputError(f"runs.{name} takes field=value, got {setting!r}; for example method.rank=16")

    def controls(self, *trained: str) -> tuple[Runs, ...]:
        """What their rows are to beat beside `majority` and `surface`: heads on random weights, and on no true labels.

        Args:
            trained: methods that train the random weights too, for what a pretrained one has of its shape alone.
        """
        random, dealt = self._inside("checkpoint"), self._inside("data")
        return (
            replace(random, methods=("frozen", *trained), control="untrained"),
            replace(dealt, methods=("frozen",), control="shuffled"),
        )

    def _inside(self, part: str) -> Runs:
        """The same with the checkpoint's own attention, where the part of a recipe has become the `of` of another."""

        def within(settings: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(re.sub(rf"^{part}(\.|=)", rf"{part}.of\1", each) for each in settings)

        varied = tuple(map(within, self.varied))
        return replace(self, attentions=(STOCK,), settings=within(self.settings), varied=varied)

    @property
    def rows(self) -> tuple[Row, ...]:
        every = itertools.product(itertools.product(*self.varied), self.recipes, self.methods, self.attentions)
        return tuple(
            Row(
                recipe=recipe,
                method=method,
                attention=attention,
                settings=(*self.settings, *own),
                seeds=self.seeds,
                control=self.control,
            )
            for own, recipe, method, attention in every
        )


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One test set: our runs on it, and what others published of it."""

    data: str  # for people
    runs: tuple[Runs, ...]
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()  # what a reader must know and no record says

    def __post_init__(self) -> None:
        _hold(self, "benchmark")
        labels = [row.label for row in self.rows]
        for each in self.published:
            if each.reproduced_by is not None and each.reproduced_by not in labels:
                raise one_of(f"row of {self.data}", each.reproduced_by, labels)

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for runs in self.runs for row in runs.rows)

    def references(self, row: Row) -> tuple[Published, ...]:
        """What the row is to reproduce."""
        return tuple(each for each in self.published if each.reproduced_by == row.label)


@dataclass(frozen=True, kw_only=True)
class BenchmarkTable:
    """All of a table. Its rows are told apart by their names and settings alone, as their records are."""

    benchmarks: tuple[Benchmark, ...]
    by: Literal["method", "attention", "labels", "length"] = "method"  # the layout: as --by of `finetune compare`

    def __post_init__(self) -> None:
        _hold(self, "table")
        for one, other in itertools.combinations(self.rows, 2):
            own, others = _values(one), _values(other)
            if one.names == other.names and all(own[field] == others[field] for field in own.keys() & others.keys()):
                raise InputError(
                    f"table has two rows {one.label} that their records cannot tell apart; give both a field of "
                    "settings in common, with other values"
                )

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for benchmark in self.benchmarks for row in benchmark.rows)

    def name(self, row: Row) -> str:
        """What tells a row from the table's others, for people."""
        alone = sum(other.label == row.label for other in self.rows) == 1
        return row.label if alone else " ".join((row.label, *row.settings))


def _values(row: Row) -> dict[str, str]:
    """What a row's settings say of each field, by its path; of a field that is set twice the last counts."""
    pairs = [setting.partition("=")[::2] for setting in row.settings]
    return {path.strip(): value.strip() for path, value in pairs}


def _hold(value: Any, where: str) -> None:
    for name, kind in hints(type(value)).items():
        declared(getattr(value, name), kind, f"{where}.{name}")
