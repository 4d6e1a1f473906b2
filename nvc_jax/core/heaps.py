"""Heaps of the C library: few for all threads, so that memory that one frees serves the others."""

import ctypes
import functools
import sys

_M_ARENA_MAX = -8
"""Parameter of glibc's ``mallopt``: the largest number of heaps."""
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
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return (
        mallopt is not None and mallopt(_M_ARENA_MAX, max(_LEAST_HEAPS, n_threads // _THREADS_PER_HEAP)) == 1
    )
