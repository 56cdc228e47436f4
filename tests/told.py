"""Progress that a test can ask afterwards what was said."""

from __future__ import annotations

import pytest

from finetune.progress import Silent


class Told(Silent):
    """Remembers the lines, and how much of what was counted."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counted: dict[str, tuple[int, int]] = {}  # by stretch: how much was done, of how much

    def say(self, text: str) -> None:
        self.lines.append(text)

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.what = what
        self.counted[what] = (done, total)

    def advance(self, units: int) -> None:
        done, total = self.counted[self.what]
        self.counted[self.what] = (done + units, total)


class Forbidden(Silent):
    """Nothing is to be said: nothing slow is to happen."""

    def say(self, text: str) -> None:
        pytest.fail(text)
