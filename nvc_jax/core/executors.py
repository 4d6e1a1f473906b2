"""Executors whose threads are kept from one call to the next.

Starting and ending threads takes time in which nothing else goes on.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from nvc_jax.core.jax_settings import keep_own_settings

_Kind = tuple[int, frozenset[int]]
"""Number of threads, and the cores that they may use, which a thread has from the one that starts it."""
_MOST_IDLE = 4
"""Executors that are kept at most: a call needs one, and one more for what it does within."""
_idle: list[tuple[_Kind, ThreadPoolExecutor]] = []


@contextlib.contextmanager
def borrow_executor(n_threads: int) -> Iterator[ThreadPoolExecutor]:
    """Borrow an executor, which nobody else has meanwhile, until the block ends.

    Whoever borrows it waits for its work, unless the block ends by an error: then what is not begun is
    dropped, and the rest is waited for.

    Args:
        n_threads: number of its threads.
    """
    kind, executor = _take(n_threads)
    try:
        yield executor
    except BaseException:
        executor.shutdown(cancel_futures=True)
        raise
    _give_back(kind, executor)


def run_in_threads(work: Callable[[], None], finish: Callable[[], None], n_threads: int) -> None:
    """Begin to call a function in each of some threads, and return at once.

    Args:
        work: catches its errors: nobody sees them.
        finish: called by the last thread when ``work`` has ended in all of them; likewise.
        n_threads: number of the threads.
    """
    kind, executor = _take(n_threads)
    remaining, lock = set(range(n_threads)), threading.Lock()

    def call(number: int) -> None:
        try:
            work()
        finally:
            with lock:
                remaining.remove(number)
                is_last = not remaining
            if is_last:
                finish()
                _give_back(kind, executor)

    for number in range(n_threads):
        executor.submit(call, number)


def _take(n_threads: int) -> tuple[_Kind, ThreadPoolExecutor]:
    """Take an executor that is kept, the one that was used last, or else a new one; with its kind."""
    kind = n_threads, frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())
    for entry in reversed(_idle.copy()):
        if entry[0] == kind:
            with contextlib.suppress(ValueError):  # another thread has taken it
                _idle.remove(entry)
                return entry
    return kind, ThreadPoolExecutor(n_threads, initializer=keep_own_settings)


def _give_back(kind: _Kind, executor: ThreadPoolExecutor) -> None:
    """Keep an executor, and end the oldest ones that are too many."""
    _idle.append((kind, executor))
    while len(_idle) > _MOST_IDLE:
        with contextlib.suppress(IndexError):  # another thread takes it
            _idle.pop(0)[1].shutdown(wait=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # which has none of the threads
