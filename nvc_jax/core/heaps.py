"""Heaps of the C library: few for all threads, so that memory that one frees serves the others."""

import contextlib
import ctypes
import functools
import itertools
import mmap
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

R = TypeVar("R")

_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_TOP_PAD = -8, -3, -1, -2
"""Parameters of glibc's ``mallopt``: the largest number of heaps, the size from which memory comes from the
system and goes back to it, the free bytes at a heap's end from which it shrinks, and by how much it grows."""
_LARGEST_IN_HEAP, _MOST_FREE_AT_END, _GROWTH = 1 << 25, 1 << 28, 1 << 26
_RESULTS_PER_RELEASE = 16
_MOST_UNUSED_BYTES = 1 << 28
"""Bytes by which the process may grow without a release: 256 MiB, more than a few threads need for chunks of
128³."""
_LEAST_HEAPS, _THREADS_PER_HEAP = 2, 8


@functools.cache
def tune_heaps(n_threads: int) -> bool:
    """Limit the heaps of the process to 2, or to one for every 8 threads, and let them keep what is freed.

    glibc gives each thread a heap of its own, up to eight for each core, and a heap keeps what was freed in
    it. Threads that work on chunks in turn then hold memory for several chunks each: a third more in all, for
    no gain in speed. Heaps that exist stay.

    Arrays of a chunk take some MiB. By default glibc gives most of them back to the system when they are
    freed, which has to clear them for the next chunk: a tenth of the time of decoding.

    Returns:
        Whether the C library took the limit.
    """
    mallopt = _find("mallopt")
    if mallopt is None:
        return False
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
    mallopt(_M_TRIM_THRESHOLD, _MOST_FREE_AT_END)
    mallopt(_M_TOP_PAD, _GROWTH)
    return mallopt(_M_ARENA_MAX, max(_LEAST_HEAPS, n_threads // _THREADS_PER_HEAP)) == 1


def release_unused() -> None:
    """Give freed memory back to the system: compiling a program leaves hundreds of MiB of it."""
    malloc_trim = _find("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


class HeapWatch:
    """Releases unused memory now and then, where the process has grown by much since it was smallest.

    Memory that was released has to be cleared by the system when it is used again, which takes a sixth of the
    time that a chunk takes. So what the next chunks need is kept.
    """

    def __init__(self) -> None:
        self._n_results = itertools.count()
        self._smallest = 0

    def count_result(self) -> bool:
        """Look at the memory after the first result, which compiles programs, and after every sixteenth.

        Returns:
            Whether memory was released.
        """
        if (
            next(self._n_results) % _RESULTS_PER_RELEASE
            or _resident_bytes() < self._smallest + _MOST_UNUSED_BYTES
        ):
            return False
        release_unused()
        resident = _resident_bytes()
        self._smallest = min(self._smallest or resident, resident)
        return True


_watch = HeapWatch()


def releasing(results: Generator[R, None, None]) -> Generator[R, None, None]:
    """Pass results on, and release unused memory now and then, whichever call the results are of."""
    with contextlib.closing(results):
        for result in results:
            yield result
            _watch.count_result()


def _resident_bytes() -> int:
    """Count the bytes of the process that are in memory; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * mmap.PAGESIZE


@functools.cache
def _find(name: str) -> Callable[..., int] | None:
    """Find a function of glibc; None where the process has none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
