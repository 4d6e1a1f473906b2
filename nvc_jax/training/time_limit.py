"""Limit of the wall time of a training run."""

import math
import time
from collections.abc import Callable

import numpy as np

from nvc_jax.training.mesh import gather_from_processes


class TimeLimit:
    """Limit of the time that a run takes, in all calls together. Its clock starts when it is made.

    Args:
        minutes: above 0.
        clock: returns seconds since any moment.

    Attributes:
        seconds: the limit.

    Raises:
        ValueError: ``minutes`` is not a number above 0.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
        if not is_number or not 0 < minutes < math.inf:
            raise ValueError(f"`minutes` (={minutes!r}) must be a number above 0, such as 30")
        self.seconds = 60.0 * minutes
        self._clock, self._began = clock, clock()
        self._before = 0.0

    def count_before(self, seconds: float) -> None:
        """Count the time that earlier calls of the run have taken."""
        self._before = seconds

    @property
    def before(self) -> float:
        """Seconds that earlier calls have taken, the same in all processes."""
        return self._before

    def used(self) -> float:
        """Return the seconds that are used, by the clock of this process."""
        return self._before + self._clock() - self._began

    def used_by_first(self) -> float:
        """Return the seconds that are used, by the clock of the first process.

        All processes must call it at the same points of a run: they decide by it.
        """
        return float(gather_from_processes(np.array([self.used()]))[0, 0])

    def left(self) -> float:
        """Return the seconds that are left by ``used_by_first``; below 0 when the time is over."""
        return self.seconds - self.used_by_first()
