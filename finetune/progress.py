"""What a run tells while it works. The library is silent; the command line shows bars, or plain lines to a file."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm


class Silent:
    """Says nothing; the contract of everything that says more."""

    def say(self, text: str) -> None:
        """One line about something that starts or happened."""

    def run(self, index: int, total: int, name: str) -> None:
        """Run `index` (from 1) of `total` starts."""

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        """A stretch of `total` units begins, or goes on after the first `done`."""

    def advance(self, units: int) -> None:
        """So many more of them are done."""

    def end(self) -> None:
        """The stretch is over, and the one it interrupted goes on."""


class Bars(Silent):
    """Bars on a terminal; where standard error is no terminal, a line at most every ten seconds."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.prefix, self.spoken = "", time.monotonic()
        self.bars: list[tqdm] = []  # a validation within a training: the last is the one that moves

    def say(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    def run(self, index: int, total: int, name: str) -> None:
        self.prefix = f"[{index}/{total}] {name} · "
        if not self.live:
            self.say(f"[{index}/{total}] {name}")

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        # the bar keeps the rate and the time left also where it is not drawn
        where = sys.stderr if self.live else _Nowhere()
        label = f"{self.prefix}{what}"
        # what was done before took none of the time from here on
        bar = tqdm(total=total, initial=done, desc=label, unit=unit, unit_scale=True, leave=False, file=where)
        self.bars.append(bar)

    def advance(self, units: int) -> None:
        self.bars[-1].update(units)
        if not self.live and time.monotonic() - self.spoken > 10:
            self.spoken = time.monotonic()
            self.say(f"  {self.bars[-1]}")

    def end(self) -> None:
        self.bars.pop().close()


class _Nowhere:
    def write(self, text: str) -> None: ...

    def flush(self) -> None: ...
