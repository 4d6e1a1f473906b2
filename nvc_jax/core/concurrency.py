"""Work on several chunks at a time, with bounded memory."""

import collections
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

N_WORKERS = 3
"""Chunks in work: while some compute, others are read. Each takes a few times a chunk's size of memory."""


def map_in_order(
    function: Callable[[T], R], items: Iterable[T], n_workers: int = N_WORKERS
) -> Generator[R, None, None]:
    """``map`` by threads: results in order, few items ahead of what is consumed.

    What an item raises, its result raises; what has not begun by then never does.
    """
    pending: collections.deque[Future[R]] = collections.deque()
    executor = ThreadPoolExecutor(n_workers)
    try:
        for item in items:
            pending.append(executor.submit(function, item))
            if len(pending) > 2 * n_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
