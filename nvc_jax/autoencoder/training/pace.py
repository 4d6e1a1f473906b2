"""Pace of a training: how many optimiser steps a dispatch takes, and where in the schedule they lie.

The learning rate is a function of the *position* in the schedule. In a run of epochs that is the number of
the step. In a run of limited time the number of steps is not known before. There the rest of the schedule is
divided anew, before every dispatch, among the steps that the rest of the time is expected to hold. So the
rate has decayed to its end when the time is over, however the speed changes.

All processes must plan alike, so they plan by the clock of the first one. Each dispatch brings its reading
from when the dispatch began, and so how long the one before took. Processes need not meet for it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from nvc_jax.training.time_limit import TimeLimit

_TIMED_POSITIONS = 10_000
"""Positions of the schedule of a run of limited time. Positions between them are possible."""
_DISPATCH_SHARE = 0.01
"""Share of the limit that a dispatch takes, at most, so that plans are made anew as often."""
_LARGEST_GROWTH = 2
"""Ratio of the steps of a dispatch to those of the one before, at most: a speed that a compilation made wrong
is measured again before it matters."""
_MILESTONE_SHARE = 0.02
"""Share of the limit between two milestones, at least: little data have epochs of milliseconds."""
_POSITION, _IS_OVER = "schedule_position", "is_over"
"""Notes of a checkpoint: the position in the schedule, and 1 when the time is over."""


class Dispatch(NamedTuple):
    """Optimiser steps of one compiled call.

    Attributes:
        n_steps: their number.
        position: of the first step in the schedule.
        advance: positions from one step to the next.
    """

    n_steps: int
    position: float
    advance: float


class EpochPace:
    """Pace of a run of epochs: every dispatch takes all batches that are loaded.

    Args:
        total_steps: of the run.
    """

    def __init__(self, total_steps: int) -> None:
        self.n_positions = total_steps

    @property
    def notes(self) -> dict[str, float]:
        """Numbers that continue the pace from a checkpoint, beside its step."""
        return {}

    def is_over(self, step: int) -> bool:
        """Tell whether the run ends after ``step`` steps."""
        return step >= self.n_positions

    def plan(self, step: int, n_loaded: int) -> Dispatch:
        """Plan the dispatch after ``step`` steps, for which ``n_loaded`` batches are there."""
        return Dispatch(n_loaded, step, 1)

    def read_clock(self) -> float:
        """Return this process's seconds of the run, before a dispatch."""
        return 0.0

    def finish(self, dispatch: Dispatch, began: float, *, is_epoch_end: bool) -> bool:
        """Note that a dispatch is done.

        Args:
            dispatch: the last one.
            began: what the first process read from its clock before it.
            is_epoch_end: whether it was the last one of an epoch.

        Returns:
            Whether held-out data are due, and a checkpoint.
        """
        return is_epoch_end

    def total_steps(self, step: int) -> int:
        """Estimate the steps of the run, of which ``step`` are done."""
        return self.n_positions


class TimedPace:
    """Pace of a run of limited time; its methods are those of ``EpochPace``.

    Args:
        limit: of the run.
        notes: of the checkpoint that the run continues from; empty for none.

    Attributes:
        n_positions: of the schedule.
        position: in the schedule, of the next step.
    """

    def __init__(self, limit: TimeLimit, notes: Mapping[str, float]) -> None:
        self.n_positions = _TIMED_POSITIONS
        self.position = notes.get(_POSITION, 0.0)
        self._limit, self._is_over = limit, bool(notes.get(_IS_OVER, 0))
        self._left = self._milestone_left = limit.seconds - limit.before
        self._seconds_per_step: float | None = None
        self._most_steps = 1
        self._is_compiled = False
        self._last: tuple[Dispatch, float] | None = None

    @property
    def notes(self) -> dict[str, float]:
        return {_POSITION: self.position, _IS_OVER: float(self._is_over)}

    def is_over(self, step: int) -> bool:
        return self._is_over

    def plan(self, step: int, n_loaded: int) -> Dispatch:
        seconds = self._seconds_per_step
        if seconds is None:  # the first dispatch compiles, so that the second one measures the speed
            return Dispatch(1, self.position, 0)
        affordable = max(1, self._left / seconds)
        wanted = min(affordable, self._limit.seconds * _DISPATCH_SHARE / seconds)
        n_steps = max(1, min(int(wanted), self._most_steps, n_loaded))
        return Dispatch(n_steps, self.position, (self.n_positions - self.position) / affordable)

    def read_clock(self) -> float:
        return self._limit.used()

    def finish(self, dispatch: Dispatch, began: float, *, is_epoch_end: bool) -> bool:
        if self._last is not None:
            before, began_before = self._last
            if self._is_compiled:
                self._seconds_per_step = (began - began_before) / before.n_steps
            self._is_compiled = True
        self._last = dispatch, began
        seconds = self._seconds_per_step or 0.0
        self._left = self._limit.seconds - began - dispatch.n_steps * seconds
        self._is_over = self._left < seconds
        self._most_steps = _LARGEST_GROWTH * dispatch.n_steps
        self.position += dispatch.n_steps * dispatch.advance
        since = self._milestone_left - self._left
        is_milestone = is_epoch_end and since >= _MILESTONE_SHARE * self._limit.seconds
        if is_milestone:
            self._milestone_left = self._left
        return is_milestone or self._is_over

    def total_steps(self, step: int) -> int:
        if self.is_over(step):
            return step
        return step + max(1, round(self._left / self._seconds_per_step) if self._seconds_per_step else 1)
