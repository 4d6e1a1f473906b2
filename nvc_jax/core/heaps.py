"""Heaps of the C library: few for all threads, so that memory that one frees serves the others."""

import contextlib
import ctypes
import functools
import itertools
import sys
from collections.abc import Callable, Generator
from typing import TypeVar

R = TypeVar("R")

_M_ARENA_MAX = -8
"""Parameter of glibc's ``mallopt``: the largest number of heaps."""
_RESULTS_PER_RELEASE = 16
_n_results = itertools.count()
"""Results of this process so far."""
_LEAST_HEAPS, _THREADS_PER_HEAP = 2, 8


@functools.cache
def limit_heaps(n_threads: int) -> bool:
    """Limit the heaps of the process to 2, or to one for every 8 threads.

    glibc gives each thread a heap of its own, up to eight for each core, and a heap keeps what was freed in
    it. Threads that work on chunks in turn then hold memory for several chunks each: a third more in all, for
    no gain in speed. Heaps that exist stay.

    Returns:
        Whether the C library took the limit.
    """
    mallopt = _find("mallopt")
    n_heaps = max(_LEAST_HEAPS, n_threads // _THREADS_PER_HEAP)
    return mallopt is not None and mallopt(_M_ARENA_MAX, n_heaps) == 1


def release_unused() -> None:
    """Give freed memory back to the system: compiling a program leaves hundreds of MiB of it."""
    malloc_trim = _find("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def releasing(results: Generator[R, None, None]) -> Generator[R, None, None]:
    """Pass results on, and release unused memory now and then.

    It is released after the first result of the process, which compiles programs, and after every sixteenth,
    whichever call it is of. Memory that was released has to be cleared by the system when it is used again:
    after each result that would take a tenth of the time.
    """
    with contextlib.closing(results):
        for result in results:
            yield result
            if next(_n_results) % _RESULTS_PER_RELEASE == 0:
                release_unused()


@functools.cache
def _find(name: str) -> Callable[..., int] | None:
    """Find a function of glibc; None where the process has none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
