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
        self.note(region)
        return self._values[region]

    def note(self, region: Region) -> int:
        """Note that a chunk is read, and count the reads so far."""
        index = tuple(part.start // side for part, side in zip(region, self._chunk, strict=True))
        with self._lock:
            self.reads.append(index)
            return len(self.reads)


class HeldSource(NotedSource):
    """A volume whose first chunk is held back for a moment at every read, while others are read.

    Attributes:
        n_read_ahead: other chunks whose reads began while the first one was held back, for each such time.
        n_first, n_last: reads of the first and of the last chunk that had begun by the end of each such time.
    """

    def __init__(self, values: np.ndarray, chunk: Shape3) -> None:
        super().__init__(values, chunk)
        self._last = tuple(-(-side // part) - 1 for side, part in zip(values.shape, chunk, strict=True))
        self.n_read_ahead: list[int] = []
        self.n_first: list[int] = []
        self.n_last: list[int] = []

    def read(self, region: Region) -> np.ndarray:
        """Read a chunk, the first one slowly."""
        n_reads = self.note(region)
        if all(part.start == 0 for part in region):
            time.sleep(HOLD_SECONDS)
            reads = list(self.reads)
            self.n_read_ahead.append(len(set(reads[n_reads:])))
            self.n_first.append(reads.count((0, 0, 0)))
            self.n_last.append(reads.count(self._last))
        return self._values[region]

    def check_read_ahead(self, most_ahead: int) -> None:
        """Check that in no pass over the volume more than a few chunks were read before the first one was."""
        assert max(self.n_read_ahead) <= most_ahead, self.n_read_ahead
        counts = list(zip(self.n_first, self.n_last, strict=True))
        assert all(last < first for first, last in counts), counts
