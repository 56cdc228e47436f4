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

    def start(self, what: str, total: int, unit: str) -> None:
        """A stretch of `total` units begins."""

    def advance(self, units: int, note: str = "") -> None:
        """So many more of them are done."""

    def end(self) -> None:
        """The stretch is over."""


class Bars(Silent):
    """Bars on a terminal; where standard error is no terminal, a line at most every ten seconds."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.prefix, self.bar, self.spoken = "", None, 0.0

    def say(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    def run(self, index: int, total: int, name: str) -> None:
        self.prefix = f"[{index}/{total}] {name} · "
        if not self.live:
            self.say(f"[{index}/{total}] {name}")

    def start(self, what: str, total: int, unit: str) -> None:
        self.end()
        label = f"{self.prefix}{what}"
        # the bar keeps the rate and the time left also where it is not drawn
        self.bar = tqdm(
            total=total,
            desc=label,
            unit=unit,
            unit_scale=True,
            leave=False,
            file=sys.stderr if self.live else _Nowhere(),
        )
        self.spoken = time.monotonic()

    def advance(self, units: int, note: str = "") -> None:
        if self.bar is None:
            return
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(units)
        if not self.live and time.monotonic() - self.spoken > 10:
            self.spoken = time.monotonic()
            self.say(f"  {self.bar}")

    def end(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class _Nowhere:
    def write(self, text: str) -> None: ...

    def flush(self) -> None: ...
