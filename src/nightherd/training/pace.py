"""How fast a run goes and how long it still takes, from its recent steps: right after a resume as after days."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class Pace:
    """Times steps and validations apart.

    Args:
        clock: seconds.
        recent: the speed is that of so many steps.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter, recent: int = 50) -> None:
        self._clock = clock
        self._steps: deque[float] = deque(maxlen=recent)
        self._validation = 0.0
        self._since = clock()

    def step(self) -> None:
        """A step ended; it began where the last step or validation ended."""
        self._steps.append(self._lap())

    def validation(self) -> None:
        """A validation, with the saving that goes with it, ended."""
        self._validation = self._lap()

    def _lap(self) -> float:
        now = self._clock()
        seconds, self._since = now - self._since, now
        return seconds

    @property
    def seconds_a_step(self) -> float:
        """The mean of recent steps; 0 before the first."""
        return sum(self._steps) / len(self._steps) if self._steps else 0.0

    def seconds_left(self, steps: int, validations: int) -> float:
        """What so many more steps and validations will take."""
        return steps * self.seconds_a_step + validations * self._validation
