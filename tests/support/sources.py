"""Sources of volumes that note what is read of them."""

import threading
import time

import numpy as np

from nvc_jax.core.chunk_grid import ChunkIndex, Region
from nvc_jax.core.shapes import Shape3
from nvc_jax.io.lazy import lazy_store

HOLD_SECONDS = 0.2
"""Seconds for which a ``HeldSource`` holds its first chunk back: ample for whoever would read everything."""


class NotedSource:
    """A volume that is read chunk by chunk, and notes the chunks that are read.

    Attributes:
        store: the volume, as ``nvc_jax.compress`` takes it.
        reads: index of a chunk for every time that it was read.
    """

    def __init__(self, values: np.ndarray, chunk: Shape3) -> None:
        self._values, self._chunk, self._lock = values, chunk, threading.Lock()
        self.reads: list[ChunkIndex] = []
        self.store = lazy_store(self.read, values.shape, values.dtype, "noted", chunk=chunk)

    def read(self, region: Region) -> np.ndarray:
        """Read a chunk; ``store`` calls this from several threads."""
        with self._lock:
            self.reads.append(
                tuple(part.start // side for part, side in zip(region, self._chunk, strict=True))
            )
        return self._values[region]


class HeldSource(NotedSource):
    """A volume whose first chunk is held back for a moment at every read, while others are read.

    Attributes:
        n_read_ahead: other chunks whose reads began while the first one was held back, for every such time.
    """

    def __init__(self, values: np.ndarray, chunk: Shape3) -> None:
        super().__init__(values, chunk)
        self.n_read_ahead: list[int] = []

    def read(self, region: Region) -> np.ndarray:
        """Read a chunk, the first one slowly."""
        values = super().read(region)
        if all(part.start == 0 for part in region):
            n_before = len(self.reads)
            time.sleep(HOLD_SECONDS)
            self.n_read_ahead.append(len(set(self.reads[n_before:])))
        return values
