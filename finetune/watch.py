"""Whether training is still training: a loss that is no number, or far above what it was for long, ends it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

TIMES = 10  # the running median, above which a loss is out of hand
PATIENCE = 20  # updates in a row
WINDOW = 100  # updates that the median is over; those out of hand are none of them


@dataclass
class Watch:
    """Sees the losses in order."""

    calm: list[float] = field(default_factory=list)
    high: int = 0  # updates in a row until now

    def diverged(self, losses: Iterable[float]) -> bool:
        """Take the losses of the next updates."""
        found = [self._out_of_hand(loss) for loss in losses]
        return any(found)

    def _out_of_hand(self, loss: float) -> bool:
        if not math.isfinite(loss):
            return True
        if self.calm and loss > TIMES * statistics.median(self.calm):
            self.high += 1
        else:
            self.high = 0
            self.calm = [*self.calm[1 - WINDOW :], loss]
        return self.high >= PATIENCE
