"""Supervision of a training run of any kind: checkpoints, reports, preemption, and waiting for data."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from jax.sharding import Mesh

from nvc_jax.training.optimizer import TrainingState
from nvc_jax.training.preemption import Preempted, noticing_preemption
from nvc_jax.training.progress import RunOptions, TrainingProgress
from nvc_jax.training.runs import RunCheckpoints

T = TypeVar("T")

_SECONDS_USED = "seconds_used"
"""Note of a checkpoint: time that a run of limited time had taken."""


class Supervisor(contextlib.ExitStack):
    """A run that is followed while its ``with`` block lasts.

    Args:
        options: of the run.
        run: description of all that determines the run's parameters, JSON-ready.
        mesh: devices of the run.

    Attributes:
        history: reports of this process, oldest first.
        notes: numbers that a run adds to its checkpoints; those of the last one after ``restore``.

    Raises:
        FileExistsError, ValueError: the errors of ``RunCheckpoints``.
    """

    def __init__(self, options: RunOptions, run: Mapping[str, Any], mesh: Mesh) -> None:
        super().__init__()
        self._options = options
        self._saved_step = 0
        self.history: list[TrainingProgress] = []
        self.notes: dict[str, float] = {}
        self._checkpoints = None
        if options.directory is not None:
            checkpoints = RunCheckpoints(options.directory, run, mesh)
            self._checkpoints = self.enter_context(contextlib.closing(checkpoints))
        self._is_preempted = self.enter_context(noticing_preemption())

    def restore(self, state: TrainingState) -> TrainingState:
        """Restore the last checkpoint; return ``state``, the initial state, if there is none."""
        if self._checkpoints is not None:
            state, notes = self._checkpoints.restore(state)
            self.notes.update(notes)
        if self._options.limit is not None:
            self._options.limit.count_before(self.notes.get(_SECONDS_USED, 0.0))
        self._saved_step = int(state.step)
        return state

    def report(self, progress: TrainingProgress, state: TrainingState, *, is_milestone: bool = False) -> None:
        """Report steps that are done, and save the state if it is time to.

        Args:
            progress: after these steps.
            state: the same; it is copied.
            is_milestone: whether to save it in any case.

        Raises:
            Preempted: the process is to end. The state is saved, if the run has a directory.
        """
        must_end = self._is_preempted(progress.step)
        is_due = progress.step - self._saved_step >= self._options.checkpoint_every
        if self._checkpoints is not None and (is_milestone or must_end or is_due):
            if self._options.limit is not None:
                self.notes[_SECONDS_USED] = self._options.limit.used()
            self._checkpoints.save(progress.step, state, progress.validation_loss, self.notes)
            self._saved_step = progress.step
        self.history.append(progress)
        if self._options.on_progress is not None:
            self._options.on_progress(progress)
        if must_end and progress.step < progress.total_steps:
            raise Preempted

    def choose_kept(self, last: TrainingState) -> TrainingState:
        """Return the state whose parameters the run returns: the last one, or that of the best checkpoint."""
        if self._checkpoints is None or self._options.keep == "last":
            return last
        return self._checkpoints.restore_best(last)


class TimedItems(Iterator[T]):
    """Items of an iterable, and the seconds that were spent on waiting for them.

    Attributes:
        waited: seconds since ``restart``.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self.restart()

    def restart(self) -> None:
        """Begin to count anew."""
        self._began = time.perf_counter()
        self.waited = 0.0

    def timing(self) -> dict[str, float]:
        """Return the fields ``seconds`` and ``data_wait`` of a progress report, and begin to count anew."""
        seconds, waited = time.perf_counter() - self._began, self.waited
        self.restart()
        return {"seconds": seconds, "data_wait": waited / seconds}

    def __next__(self) -> T:
        began = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.waited += time.perf_counter() - began
