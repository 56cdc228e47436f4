"""Where the runs of a grid are computed: each file is an engine, and its name the word that `--on` takes.

An engine is asked for recipes and gives what became of each, so a grid looks the same wherever it was computed.

Between machines only text of ours travels, a recipe there and a reason or a folder back (`finetune.remote`). How a
cluster's library packs that text, the name of the function that reads it and its own affairs is the library's: ray and
submitit use pickles, between machines that are all the user's own. They are reached where the user says, and nowhere
else is looked for them.
"""

from __future__ import annotations

import os
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from finetune import allocator, remote
from finetune.errors import InputError, one_of
from finetune.execute import run
from finetune.extras import imported
from finetune.parts import Part, hints, parse
from finetune.progress import Silent
from finetune.recipe import Recipe
from finetune.report.forecasts import duration
from finetune.result import Result
from finetune.session import Shelf, session
from finetune.signals import Signals, Stopped

AGAIN = 5  # times that a run is started anew whose process was killed: it goes on from its last snapshot


@dataclass(frozen=True)
class Failure:
    recipe: Recipe
    reason: str


Outcome = Result | Failure


def failed(recipe: Recipe, error: Exception) -> Failure:
    """Whatever it is: the other runs of the grid go on, and this one is listed with its cause."""
    if not (isinstance(error, InputError) or allocator.ran_out(error)):
        traceback.print_exception(error)  # nobody foresaw it: where it came from is more than a line can say
    return Failure(recipe, remote.reason(error))


class Engine(Part, ABC):
    """The contract. A subclass is a frozen dataclass in a file of its own in this folder."""

    where: ClassVar[str] = "engine"
    place: ClassVar[str | None] = None  # the field that `--on NAME:PLACE` sets; None: it is in one place only

    @abstractmethod
    def run(
        self, runs: Mapping[Recipe, str], out: Path, progress: Silent, known: Mapping[str, Result]
    ) -> dict[Recipe, Outcome]:
        """What became of each recipe, in their order; a run that is done already is only read.

        Args:
            runs: what each recipe is called, for people.
            known: results from anywhere, by fingerprint: of a recipe that one of them is of, nothing is run.

        Raises:
            InputError: the engine cannot run anything. That one run cannot is a `Failure` of its own.
        """

    @classmethod
    def word(cls) -> str:
        """Its name on the command line: the file it is written in."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def at(cls, place: str, settings: Iterable[str] = ()) -> Self:
        """The engine at a place, with every `field=value` applied.

        Raises:
            InputError: it has no such field, or no places; or a value is none of the field's.
        """
        own, given = hints(cls), {}
        if place and cls.place is None:
            raise InputError(f"--on {cls.word()} takes no place behind it, got {place!r}")
        for setting in [f"{cls.place}={place}"] * bool(place) + list(settings):
            field, equals, text = (each.strip() for each in setting.partition("="))
            if not equals:
                raise InputError(f"--on takes NAME:PLACE, then field=value behind commas, got {setting!r}")
            if field not in own:
                raise one_of(f"field of --on {cls.word()}", field, own)
            given[field] = parse(text, own[field], f"--on {cls.word()}: {field}")
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class Cluster(Engine):
    """An engine of other processes, which share the folder of the runs, the code, and better the cache too.

    Whatever a recipe names is fetched here first: a machine that computes need not reach a hub, and what cannot be
    fetched is never submitted. A run that is killed is started again and goes on from its snapshot; so does the whole
    grid when this process was killed. What it has left at work then is waited for.
    """

    library: ClassVar[str]  # the package that does it, of the extra that is called as the engine

    cpus: int | None = None  # cores of a run; None: as the engine finds best
    gpus: int | None = None  # of a run, likewise; 0 or 1, since a run is one process there

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, least in (("cpus", self.cpus, 1), ("gpus", self.gpus, 0)):
            if value is not None and value < least:
                raise InputError(f"engine.{name} must be at least {least}, got {value}")
        if self.gpus is not None and self.gpus > 1:
            raise InputError(
                f"engine.gpus must be 0 or 1, got {self.gpus}: each run is one process there, which computes on one "
                "GPU; for several GPUs a run, use --processes on their machine instead"
            )

    @abstractmethod
    def answers(
        self, library: Any, orders: Sequence[str], out: Path, progress: Silent
    ) -> Generator[tuple[int, str], None, None]:
        """`finetune.remote.work` of each order on some machine: the order's place and the answer, as soon as it ended.

        Closed before its end, it ends what is still at work.
        """

    def run(
        self, runs: Mapping[Recipe, str], out: Path, progress: Silent, known: Mapping[str, Result]
    ) -> dict[Recipe, Outcome]:
        if (started := int(os.environ.get("WORLD_SIZE", "1"))) > 1:
            raise InputError(f"--on {self.word()} asks for runs from one process, and a launcher has started {started}")
        out, library = out.absolute(), imported(self.library, f"--on {self.word()}", self.word())
        orders = {recipe: remote.order(recipe, out) for recipe in runs}  # of all, before anything is asked for
        shelf, found = Shelf(), dict[Recipe, Outcome]()
        for recipe in runs:
            if (earlier := _earlier(recipe, out, progress, shelf, known)) is not None:
                found[recipe] = earlier
        left = [recipe for recipe in runs if recipe not in found]
        if left:
            progress.say(f"{self.word()} computes {len(left)} of {len(runs)} runs")
            found |= self._computed({recipe: orders[recipe] for recipe in left}, runs, library, out, progress)
        return {recipe: found[recipe] for recipe in runs}

    def _computed(
        self, orders: Mapping[Recipe, str], runs: Mapping[Recipe, str], library: Any, out: Path, progress: Silent
    ) -> dict[Recipe, Outcome]:
        asked, started, found = list(orders), time.monotonic(), dict[Recipe, Outcome]()
        signals, every = Signals(progress.say), self.answers(library, list(orders.values()), out, progress)
        with signals.heard(), _stopped(signals), closing(every) as answers:
            for place, answer in answers:
                recipe = asked[place]
                found[recipe] = _outcome(recipe, answer)
                waiting = (len(asked) - len(found)) * (time.monotonic() - started) / len(found)
                left = f"; about {duration(waiting)} left" if len(found) < len(asked) else ""
                progress.say(f"[{len(found)}/{len(asked)}] {runs[recipe]}: {_told(found[recipe])}{left}")
        return found


@contextmanager
def _stopped(signals: Signals) -> Iterator[None]:
    """A library that waits may end with an exception of its own where a signal came; what was asked is told."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if signals.asked:
            raise Stopped(signals.asked) from None
        raise


def _earlier(recipe: Recipe, out: Path, progress: Silent, shelf: Shelf, known: Mapping[str, Result]) -> Outcome | None:
    """What there is of a recipe already, as far as this machine can tell; None: it is to be run.

    One whose number format is not this machine's finds on its own what is done in that.
    """
    try:
        here = session(recipe, progress=progress, shelf=shelf)
        if found := known.get(here.fingerprint):
            return found
        return run(recipe, out=out, progress=progress, shelf=shelf) if here.folder(out).finished() else None
    except Exception as error:
        return failed(recipe, error)


def _outcome(recipe: Recipe, answer: str) -> Outcome:
    try:
        return remote.received(answer)
    except InputError as error:
        return Failure(recipe, str(error))


def _told(outcome: Outcome) -> str:
    if isinstance(outcome, Failure):
        return f"not done: {outcome.reason}"
    return outcome.status if outcome.before is None else f"{outcome.status} before"
