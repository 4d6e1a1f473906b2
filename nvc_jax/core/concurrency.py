"""Work on several chunks at a time by threads, with bounded memory."""

import collections
import contextlib
import itertools
import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from nvc_jax.core.device_batches import BATCHES_PER_DEVICE, share_of_batch
from nvc_jax.core.devices import DeviceRota, devices_in_use
from nvc_jax.core.heaps import tune_heaps
from nvc_jax.core.jax_settings import in_own_settings

T = TypeVar("T")
R = TypeVar("R")

_MOST_WORKERS = 32
"""Limit of the number of threads: each takes a few times a chunk's size of memory."""
_PENDING_PER_WORKER = 2
"""Items for each thread that are started or waiting before the oldest result is consumed."""


def count_workers(n_devices: int = 1) -> int:
    """Count the threads that keep cores and devices busy: two or more a device, as some wait for files."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(n_cores, 2 * n_devices), _MOST_WORKERS)


def map_in_order(
    function: Callable[[T], R], items: Iterable[T], n_workers: int | None = None
) -> Generator[R, None, None]:
    """Map items by threads, with results in the order of the items.

    Where the process has several accelerators, the threads compute on all of them; see ``core.devices``.
    Only a few items are taken ahead of the results that are consumed. If the function raises for an item, its
    result raises, and items that are not started by then are dropped.

    Args:
        function: called by several threads at a time.
        items: taken by the consuming thread.
        n_workers: number of threads; by default as many as keep all cores busy.

    Yields:
        The results.
    """
    n_workers = n_workers or count_workers()
    tune_heaps(n_workers)
    computing = in_own_settings(function)
    pending: collections.deque[Future[R]] = collections.deque()
    executor = ThreadPoolExecutor(n_workers)
    try:
        for item in items:
            pending.append(executor.submit(computing, item))
            if len(pending) > _PENDING_PER_WORKER * n_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def map_on_devices(function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
    """Map items by threads that compute on all devices in use, with results in the order of the items.

    Args:
        function: codes a chunk; called by several threads at a time, on devices of ``core.devices``.
        items: taken by the consuming thread.

    Yields:
        The results, as ``map_in_order`` does.
    """
    devices = devices_in_use()
    rota = DeviceRota(devices)

    def compute(item: T) -> R:
        with rota.turn():
            return function(item)

    return map_in_order(compute, items, count_workers(len(devices)))


def map_batches_on_devices(
    function: Callable[[list[T]], Iterable[R]],
    items: Iterable[T],
    batch_size: int,
    n_items: int | None = None,
) -> Generator[R, None, None]:
    """Map batches of items on all devices in use, with results in the order of the items.

    Each device has two batches at a time, so that the host prepares and transfers one while the device
    computes the other.

    Args:
        function: takes a batch, and returns a result for each of its items; called by several threads at a
            time, on devices of ``core.devices``. The consuming thread iterates over the results, which may
            raise the error of an item in the place of its result.
        items: taken by the consuming thread.
        batch_size: largest number of items of a batch; with 1, items are mapped as by ``map_on_devices``.
        n_items: about the number of items, which batches of fewer share out among all devices; None if it is
            not known.

    Yields:
        The results.
    """
    if batch_size == 1:
        yield from map_on_devices(lambda item: next(iter(function([item]))), items)
        return
    devices, remaining = devices_in_use(), iter(items)
    if n_items is not None:
        batch_size = share_of_batch(batch_size, n_items, len(devices))
    rota = DeviceRota(devices)

    def compute(batch: list[T]) -> Iterable[R]:
        with rota.turn():
            return function(batch)

    batches = iter(lambda: list(itertools.islice(remaining, batch_size)), [])
    with contextlib.closing(map_in_order(compute, batches, BATCHES_PER_DEVICE * len(devices))) as results:
        for of_batch in results:
            yield from of_batch
