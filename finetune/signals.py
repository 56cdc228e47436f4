"""Signals: a run that is asked to stop does so at the next update, with a snapshot, and says by its exit code why.

SIGTERM ends it with code 143, Ctrl-C with 130; where nothing would be gained by waiting, and at a second Ctrl-C, at
once.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ASKING = (signal.SIGINT, signal.SIGTERM)
ECHO = 0.5  # seconds within which the same signal counts once


class Stopped(SystemExit):
    """Somebody asked for it. Its code is what a shell gives a program that the signal ended."""

    def __init__(self, number: int, step: int | None = None) -> None:
        super().__init__(128 + number)
        self.name, self.step = signal.Signals(number).name, step


class Signals:
    """What was asked of this process while a run is computed: `with signals.heard():`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.asked = 0  # number of the signal, 0: none
        self._say, self._waits, self._since = say, False, 0.0

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take the two signals; afterwards whoever had them has them again.

        Only a process' first thread can: in any other nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._take) for number in ASKING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def wait(self) -> Iterator[None]:
        """For a while only note what is asked: whoever is inside looks, and raises `Stopped` when it can."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        if self.asked:
            raise Stopped(self.asked)

    def _take(self, number: int, frame: FrameType | None) -> Any:
        if self.asked and number == signal.SIGTERM:
            return  # it changes nothing, and may come of a launcher that the same Ctrl-C has ended
        # a launcher passes on what its terminal has sent to everyone already
        again = self.asked == signal.SIGINT == number and time.monotonic() - self._since > ECHO
        if not self.asked:
            self._since = time.monotonic()
        self.asked = number
        if again or not self._waits:
            raise Stopped(number)
        self._say("stops after this update, with a snapshot; Ctrl-C once more: at once")
