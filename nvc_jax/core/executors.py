"""Threads that are kept from one call to the next: nothing else goes on while they are started and ended."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

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
    kind = (n_threads, _own_cores())
    executor = _take_idle(kind) or ThreadPoolExecutor(n_threads)
    try:
        yield executor
    except BaseException:
        executor.shutdown(cancel_futures=True)
        raise
    _idle.append((kind, executor))
    while len(_idle) > _MOST_IDLE:
        with contextlib.suppress(IndexError):  # another thread takes it
            _idle.pop(0)[1].shutdown(wait=False)


def _take_idle(kind: _Kind) -> ThreadPoolExecutor | None:
    """Take an executor of a kind, the one that was used last; None where there is none."""
    for entry in reversed(_idle.copy()):
        if entry[0] == kind:
            with contextlib.suppress(ValueError):  # another thread has taken it
                _idle.remove(entry)
                return entry[1]
    return None


def _own_cores() -> frozenset[int]:
    """Get the cores that this thread may use; none where the system does not say."""
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # which has none of the threads
