"""Reading of all voxels of an open container: threads of this package decode chunks into one array.

TensorStore starts its threads one after the other, some milliseconds apart, and copies each chunk once more.
"""

import math
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import tensorstore as ts

from nvc_jax.container.reader import Piece, Reader
from nvc_jax.core.chunk_grid import full_region
from nvc_jax.core.concurrency import count_workers
from nvc_jax.core.devices import DeviceRota
from nvc_jax.core.executors import run_in_threads
from nvc_jax.core.heaps import tune_heaps


def begin_whole_read(reader: Reader, rota: DeviceRota) -> ts.Future[np.ndarray]:
    """Begin to decode all voxels of a level.

    Args:
        reader: of the container, whose chunks are decoded one by one.
        rota: of the devices.

    Returns:
        The future of the array. What is not begun is left out once the future is cancelled, or nobody has it.
    """
    promise: ts.Promise[np.ndarray]
    promise, future = ts.Promise.new()
    n_threads = count_workers(rota.n_devices)
    tune_heaps(n_threads)
    n_threads = min(n_threads, math.prod(reader.metadata.chunk_grid))
    read = _WholeRead(reader, rota, promise, future)
    run_in_threads(read.work, read.finish, n_threads)
    return future


class _WholeRead:
    """A read that several threads share; arguments as of ``begin_whole_read``.

    Args:
        promise: of the array.
        future: of the promise.
    """

    def __init__(
        self,
        reader: Reader,
        rota: DeviceRota,
        promise: ts.Promise[np.ndarray],
        future: ts.Future[np.ndarray],
    ) -> None:
        self._reader, self._rota = reader, rota
        self._promise, self._future = promise, weakref.ref(future)
        self._result = np.empty(reader.shape, reader.dtype)
        self._pieces = reader.pieces(full_region(reader.shape))
        self._has_failed = False
        self._lock = threading.Lock()

    def work(self) -> None:
        """Decode chunks until there are no more."""
        try:
            for piece in self._remaining():
                with self._rota.turn():
                    self._reader.decode_pieces(self._result, [piece])
        except BaseException as error:
            self._has_failed = True
            self._promise.set_exception(error)

    def finish(self) -> None:
        """Hand the array over."""
        if not self._has_failed:
            self._promise.set_result(self._result)

    def _remaining(self) -> Iterator[Piece]:
        """Iterate over the chunks that no thread has begun, as long as somebody waits for the array."""
        while self._is_wanted():
            with self._lock:
                piece = next(self._pieces, None)
            if piece is None:
                return
            yield piece

    def _is_wanted(self) -> bool:
        future = self._future()
        is_awaited = future is not None and not future.cancelled()
        return is_awaited and not self._has_failed and threading.main_thread().is_alive()
