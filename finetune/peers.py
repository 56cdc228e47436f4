"""The other processes of a run: whether each still lives, and what is said and done where one does not.

Every process beats like a heart, in a thread of its own, so that what it fetches, encodes or waits for may take as long
as it takes. One that is not heard of for a minute is lost: stopped, frozen, or beyond a network that is gone. Whoever
waits for it then waits in vain, and cannot be woken: it says who is lost, writes that into the run's folder, and ends.
Of a process that has ended the system tells at once: its connections break.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from finetune.errors import InputError

if TYPE_CHECKING:
    from torch.distributed import Store  # pyright: ignore[reportPrivateImportUsage]

TIMEOUT = timedelta(hours=2)  # until processes that all live, but wait for one that does not come, give up
VARIABLE, SECONDS = "FINETUNE_LOST_AFTER", 60.0  # of silence
BEATS = 10  # within that time
LAST_WORDS = 5.0  # seconds; a folder beyond a network that is gone may never answer
PARTING = 10.0  # seconds that a beat may still take when this process ends: on a busy machine, or if nobody answers

LOST = 75  # exit code: not done, to be tried again (EX_TEMPFAIL of sysexits.h)
KINDS = {"DistError", "DistBackendError", "DistNetworkError", "DistStoreError"}  # torch's; gloo's have only its name
BROKEN = re.compile(
    r"connection (was likely )?(closed|reset|refused|aborted)[\w ]*|broken pipe|remote process exited|timed out", re.I
)
ADDRESS = re.compile(r"\[([^\[\]\s]+)\]:\d+")


class Lost(SystemExit):
    """A process of the run is gone. What was done until the last snapshot is kept."""

    def __init__(self, what: str) -> None:
        super().__init__(LOST)
        self.why = f"{what}; the same command goes on from the last snapshot"


@contextmanager
def named() -> Iterator[None]:
    """Turns the error of a connection between processes that broke into one line.

    Raises:
        Lost: one did.
    """
    try:
        yield
    except RuntimeError as error:
        if (what := broken(error)) is None:
            raise
        raise Lost(what) from error


def broken(error: RuntimeError) -> str | None:
    """What a connection between processes broke by; None: the error is another."""
    text = str(error)
    ours = type(error).__name__ in KINDS or "gloo" in text
    if not ours or (how := BROKEN.search(text)) is None:
        return None
    at = ADDRESS.search(text)
    return f"another process of this run is gone{f', at {at[1]}' if at else ''} ({how[0].strip().lower()})"


def silence() -> float:
    """Seconds for which a process may be silent.

    Raises:
        InputError: the variable that says so holds something else.
    """
    given = os.environ.get(VARIABLE, str(SECONDS))
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"{VARIABLE} must be a number of seconds above 0, got {given!r}")
    return seconds


@cache
def others() -> Others:
    """Those of this process."""
    return Others()


class Others:
    """Nothing beats before `meet`, and nobody is judged but while a run is `needed`: then all are, to its end."""

    def __init__(self) -> None:
        self.rank, self.world, self.after = 0, 1, SECONDS
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._runs, self._since = 0, 0.0
        self._tell: Callable[[str], None] = _nothing
        self._answered: float | None = None  # when the place where all meet did; None: it never has
        self._heard: dict[int, float] = {}  # when each was heard of
        self._hosts: dict[int, str] = {}

    def meet(self, rank: int, world: int) -> None:
        """Begin to beat and to listen, if there are others.

        Raises:
            InputError: the variable that says how long holds something else.
        """
        after = silence()
        if self._threads or world == 1 or "MASTER_ADDR" not in os.environ:
            return
        self.rank, self.world, self.after, self._since = rank, world, after, time.monotonic()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._beat, self._judge)]
        for thread in self._threads:
            thread.start()
        atexit.register(self._part)

    @contextmanager
    def needed(self) -> Iterator[None]:
        """From here to the end none can do without the others."""
        self._runs, self._since = self._runs + 1, time.monotonic()
        try:
            yield
        finally:
            self._runs -= 1

    @contextmanager
    def telling(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Whom to tell if one is lost: the first of those that are left does."""
        self._tell = tell
        try:
            yield
        finally:
            self._tell = _nothing

    def _part(self) -> None:
        """End the threads of this module, and of gloo where all meet by it: one that wakes up while Python goes down
        takes the process with it. Those of gloo let go of a message's tensors after whoever waited for it has gone on.
        """
        self._over.set()
        for thread in self._threads:
            thread.join(PARTING)
        _end_gloo()

    def _beat(self) -> None:
        """Say that this process lives, and see who else does; a beat is a number that grows."""
        known: dict[int, int] = {}
        with suppress(RuntimeError):  # the place where all meet is gone, which is silence too
            store = _store(self.after)
            store.set(f"host/{self.rank}", platform.node())
            while True:
                known[self.rank] = store.add(f"beat/{self.rank}", 1)
                for rank in set(range(self.world)) - {self.rank}:
                    beats = store.add(f"beat/{rank}", 0)
                    if beats and rank not in self._hosts:
                        self._hosts[rank] = store.get(f"host/{rank}").decode()
                    if beats and beats != known.get(rank):
                        known[rank], self._heard[rank] = beats, time.monotonic()
                self._answered = time.monotonic()
                if self._over.wait(self.after / BEATS):
                    return

    def _judge(self) -> None:
        now = time.monotonic()
        while not self._over.wait(self.after / BEATS):
            before, now = now, time.monotonic()
            if now - before > self.after / 2:  # it was this process that was stopped, and the others may have been
                self._since = now
            if self._runs and (what := self.lost(now)):
                self._end(Lost(what).why)

    def lost(self, now: float) -> str | None:
        """Who is; None: nobody."""
        if self._answered is None:
            return None  # none was ever heard of: how these processes met is not how they are listened to
        if self._silent(self._answered, now):
            where = os.environ["MASTER_ADDR"]
            return f"{where}, where the {self.world} processes of this run meet, was silent for {self.after:g} s"
        for rank, heard in sorted(self._heard.items()):
            if self._silent(heard, now):
                return f"process {rank} of {self.world}, on {self._hosts[rank]}, was silent for {self.after:g} s"
        return None

    def _silent(self, heard: float, now: float) -> bool:
        return now - max(heard, self._since) > self.after

    def _first(self, now: float) -> bool:
        """Whether this process is the first of those that are left, as far as it can see."""
        assert self._answered is not None
        if self._silent(self._answered, now):  # nothing is heard of anyone: the first on this machine
            return os.environ.get("LOCAL_RANK", "0") == "0"
        left = {rank for rank, heard in self._heard.items() if not self._silent(heard, now)}
        return self.rank == min(left | {self.rank})

    def _end(self, why: str) -> NoReturn:
        if self._first(time.monotonic()):
            logging.getLogger("finetune").critical("finetune: %s", why)  # to standard error, if not told otherwise
            telling = threading.Thread(target=self._tell, args=(why,), daemon=True)
            telling.start()
            telling.join(LAST_WORDS)
        os._exit(LOST)  # whoever waits for others does not hear an exception


def _store(after: float) -> Store:
    """Where all meet, by a connection of its own: others may hold the one that torch has for long."""
    from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]

    store = TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=False,
        wait_for_workers=False,
        timeout=timedelta(seconds=max(after, 1.0)),
    )
    return PrefixStore(f"finetune/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _end_gloo() -> None:
    """End its threads; each first finishes what it sends."""
    from torch import distributed

    if distributed.is_initialized() and distributed.get_backend() == "gloo":
        distributed.destroy_process_group()


def _nothing(why: str) -> None: ...
