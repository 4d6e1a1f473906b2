"""Joining of calls: calls that threads make while the devices are busy are then computed together."""

import collections
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from nvc_jax.core.device_batches import BATCHES_PER_DEVICE
from nvc_jax.core.devices import DeviceRota, devices_in_use
from nvc_jax.core.jax_settings import in_own_settings

T = TypeVar("T")
R = TypeVar("R")


class JoinedCalls(Generic[T, R]):
    """Computes items that threads ask for one by one, on the devices in use where this is made.

    No call waits for others to come. While all devices are busy, calls gather.

    Args:
        function: takes items, and returns a result for each; called by several threads at a time.
        batch_size: largest number of items of a batch.
    """

    def __init__(self, function: Callable[[list[T]], Sequence[R]], batch_size: int) -> None:
        devices = devices_in_use()
        self._function, self._batch_size = in_own_settings(function), batch_size
        self._rota = DeviceRota(devices)
        self._waiting: collections.deque[tuple[T, Future[R]]] = collections.deque()
        self._executor = ThreadPoolExecutor(BATCHES_PER_DEVICE * len(devices))

    def __call__(self, item: T) -> R:
        """Compute an item, together with others. If it is an error, it is that of the item alone."""
        result: Future[R] = Future()
        self._waiting.append((item, result))
        self._executor.submit(self._compute_waiting)
        return result.result()

    def _compute_waiting(self) -> None:
        """Compute the first of the items that wait, unless an earlier call has done so."""
        batch: list[tuple[T, Future[R]]] = []
        while len(batch) < self._batch_size:
            try:
                batch.append(self._waiting.popleft())
            except IndexError:
                break
        if not batch:
            return
        with self._rota.turn():
            try:
                results = self._function([item for item, _ in batch])
            except Exception:
                for item, result in batch:
                    self._compute_alone(item, result)
                return
        for (_, result), one in zip(batch, results, strict=True):
            result.set_result(one)

    def _compute_alone(self, item: T, result: Future[R]) -> None:
        try:
            result.set_result(self._function([item])[0])
        except Exception as error:
            result.set_exception(error)
