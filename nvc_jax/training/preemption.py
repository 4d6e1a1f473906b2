"""Preemption: a scheduler sends SIGTERM to a process some seconds before it ends the process.

A training run that gets the signal finishes the steps under way, saves its state, and ends. If JAX connects
several processes, JAX takes the signal, and all of them save after the same step. In a single process this
module takes it.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import jax
from jax.experimental import multihost_utils

EXIT_STATUS = 128 + signal.SIGTERM
"""Exit status of a process that ended because of the signal, as shells give it."""


class Preempted(SystemExit):
    """End of a training run that SIGTERM asked for; its state is saved.

    A program that does not catch it ends with status 143, like one that the signal killed.
    """

    def __init__(self) -> None:
        super().__init__(EXIT_STATUS)


Reached = Callable[[int], bool]
"""Function that tells, after steps up to the given number, whether the run is to save its state and end."""


@contextlib.contextmanager
def noticing_preemption() -> Iterator[Reached]:
    """Take SIGTERM until the block ends.

    Elsewhere than in the main thread Python takes no signals. There the process ends at once, as without
    this function.

    Yields:
        The function that tells of the signal. All processes must call it after the same steps, so that all
        of them end after the same one.
    """
    if jax.distributed.is_initialized():
        yield _AgreedStep()
        return
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return

    def notice(number: int, frame: FrameType | None) -> None:
        received.set()

    previous = signal.signal(signal.SIGTERM, notice)
    try:
        yield lambda step: received.is_set()
    finally:
        signal.signal(signal.SIGTERM, previous)


class _AgreedStep:
    """Tells whether the step is done after which all processes end.

    JAX has the processes agree on the number after the largest one that any of them has asked for, and then
    waits for exactly that number. So every step is asked for, also where many are done at once. Orbax asks
    for the steps that it saves, too.
    """

    def __init__(self) -> None:
        self._asked: int | None = None

    def __call__(self, step: int) -> bool:
        first = step if self._asked is None else self._asked + 1
        self._asked = step
        is_reached = [multihost_utils.reached_preemption_sync_point(i) for i in range(first, step + 1)]
        return any(is_reached)
