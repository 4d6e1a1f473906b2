"""Heaps of the C library: one for many threads, in large pages; memory that one frees serves the others."""

import contextlib
import ctypes
import functools
import mmap
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import jax

R = TypeVar("R")

_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_TOP_PAD = -8, -3, -1, -2
"""Parameters of glibc's ``mallopt``: the largest number of heaps, the size from which memory comes from the
system and goes back to it, the free bytes at a heap's end from which it shrinks, and by how much it grows."""
_LARGEST_IN_HEAP, _MOST_FREE_AT_END, _GROWTH = 1 << 25, 1 << 28, 3 << 26
_RESULTS_PER_RELEASE = 16
"""Results between two releases at least."""
_MOST_UNUSED_BYTES = 1 << 28
"""Bytes by which the process may grow without a release: 256 MiB, more than a few threads need for chunks of
128³."""
_FEW_BYTES = 3 << 28
"""Bytes from which on a process may grow by an eighth only: 768 MiB, so that two threads stay near it."""
_LEAST_HEAPS, _THREADS_PER_HEAP = 1, 8
_LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_COMPILED = "/jax/core/compile/backend_compile_duration"
"""Events of JAX: a program is about to be compiled, or loaded, and it was."""
_STATM_BYTES = 256
"""Bytes of the file that states the process's memory, at most."""
_LEAST_SECONDS = 0.1
"""Seconds from which on such a step is that of a large program."""


@functools.cache
def tune_heaps(n_threads: int) -> bool:
    """Limit the heaps of the process to one for every 8 threads, and let them keep what is freed.

    glibc gives each thread a heap of its own, up to eight for each core, and a heap keeps what was freed in
    it. Threads that work on chunks in turn then hold memory for several chunks each, up to twice as much in
    all. It has to be released now and then, and cleared by the system when it is used again, which takes a
    fifth of the time of encoding. Heaps that exist stay, and from the ninth on glibc takes no other limit.
    JAX and TensorStore start so many threads: so this comes before they do, where that is up to this package.

    Arrays of a chunk take some MiB. By default glibc gives most of them back to the system when they are
    freed, which has to clear them for the next chunk: a tenth of the time of decoding.

    Returns:
        Whether the C library took the limit.
    """
    release_around_compilations()
    mallopt = _find("mallopt")
    if mallopt is None:
        return False
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
    mallopt(_M_TRIM_THRESHOLD, _MOST_FREE_AT_END)
    mallopt(_M_TOP_PAD, _GROWTH)
    _grow()
    return mallopt(_M_ARENA_MAX, max(_LEAST_HEAPS, n_threads // _THREADS_PER_HEAP)) == 1


def release_unused() -> None:
    """Give freed memory back to the system."""
    malloc_trim = _find("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)
        _grow()


def take_large_pages() -> None:
    """Let the system back the heap by large pages, up to its present end.

    Kernels go through chunks along all three axes, each of which touches another page at every step. With
    pages of 2 MiB in place of 4 KiB, encoding takes 2 to 3 % less time. A page that has been used stays as it
    is, so this comes before: the heap grows by much at a time.
    """
    sbrk, madvise = _find("sbrk", ctypes.c_void_p), _find("madvise")
    end = None if sbrk is None else sbrk(ctypes.c_ssize_t(0))
    if madvise is None or end is None or end == _heap.end:
        return
    if _heap.start is not None:
        large = ctypes.c_size_t(end - _heap.start)
        madvise(ctypes.c_void_p(_heap.start), large, mmap.MADV_HUGEPAGE)
    _heap.end = end


class _Heap:
    """The heap that grows by ``sbrk``.

    Attributes:
        end: address up to which large pages are taken; 0 to begin with.
    """

    def __init__(self) -> None:
        self.end = 0

    @functools.cached_property
    def start(self) -> int | None:
        """Address where it begins; None where the system does not say."""
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/maps").read_text().splitlines():
                if line.endswith("[heap]"):
                    return int(line.split("-")[0], 16)
        return None


_heap = _Heap()


def _grow() -> None:
    """Let the heap grow in advance, and take large pages before anything lies there."""
    malloc, free = _find("malloc", ctypes.c_void_p), _find("free")
    if malloc is not None and free is not None:
        free(ctypes.c_void_p(malloc(ctypes.c_size_t(_LARGEST_IN_HEAP // 2))))
        _heap.end = 0  # what was released and taken anew is not in large pages any more
        take_large_pages()


@functools.cache
def release_around_compilations() -> None:
    """Release memory, from here on, before and after JAX compiles a large program.

    That takes hundreds of MiB, which come on top of what is unused before, and are unused afterwards.
    """
    jax.monitoring.register_event_duration_secs_listener(_on_duration)


def _on_duration(event: str, duration_secs: float, **_: Any) -> None:
    """Take an event of JAX's monitoring that has a duration."""
    if event in (_LOWERED, _COMPILED) and duration_secs >= _LEAST_SECONDS:
        release_unused()


class HeapWatch:
    """Releases unused memory now and then, where the process has grown by much since the last release.

    Memory that was released has to be cleared by the system when it is used again, which takes a sixth of the
    time that a chunk takes. So what the next chunks need is kept.
    """

    def __init__(self) -> None:
        self._smallest: int | None = None
        self._n_results = _RESULTS_PER_RELEASE

    def count_result(self) -> bool:
        """Look at the memory after each result, except for the first ones after a release.

        Returns:
            Whether memory was released.
        """
        take_large_pages()
        self._n_results += 1
        if self._n_results < _RESULTS_PER_RELEASE:
            return False
        resident = _resident_bytes()
        self._smallest = resident if self._smallest is None else min(self._smallest, resident)
        unused = min(_MOST_UNUSED_BYTES, max(_FEW_BYTES - self._smallest, self._smallest // 8))
        if resident < self._smallest + unused:
            return False
        release_unused()
        self._n_results, self._smallest = 0, _resident_bytes()
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
        # By few calls, each of which lets other threads run.
        descriptor = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return int(os.read(descriptor, _STATM_BYTES).split()[1]) * mmap.PAGESIZE
    finally:
        os.close(descriptor)


@functools.cache
def _find(name: str, result: type = ctypes.c_int) -> Callable[..., Any] | None:
    """Find a function of glibc, with the type of its result; None where the process has none."""
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
    if function is not None:
        function.restype = result
    return function
