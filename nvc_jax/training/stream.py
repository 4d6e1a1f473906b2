"""Batches of training blocks from regions of volumes, which need not fit in memory.

A *region* is a part of a volume that is read at once and holds many blocks. The order of an epoch is a
function of the seed and of the epoch alone: the regions are shuffled, and so are the blocks of each region.
The sequence of all blocks is then cut into as many equal parts as a batch has rows, and row r of batch k is
block k of part r. So

- every batch has blocks of as many regions as it has rows, where there are so many;
- a process reads the regions of its own rows only, nearly each of them once in an epoch;
- batches do not depend on the number of processes;
- the number of a step is all that continues the sequence.

Grain has the same parts (shuffle, shards, prefetching, a state that is saved). Its shards are those of
processes, so that batches depend on their number, and it would be one more package for a class of this size.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

Seed = tuple[int, ...]
"""Integers from which all orders of a stream follow."""


class Region(Protocol):
    """Blocks of a region that was read."""

    def take(self, blocks: np.ndarray) -> np.ndarray:
        """Return blocks, float32 (n, …), by their numbers, int (n,), in the region."""


class BlockSource(Protocol):
    """Training blocks, by regions."""

    @property
    def counts(self) -> np.ndarray:
        """Number of blocks of each region, int64 (n_regions,)."""

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Shape of a block."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the volumes that the blocks are cut from."""

    def read(self, region: int) -> Region:
        """Read a region by its number."""


class BatchStream:
    """Rows of batches in the order of training.

    One thread at a time may use it.

    Args:
        source: of the blocks.
        batch_size: rows of a batch, of all processes together.
        rows: those of this process.
        seed: of all epochs.
    """

    def __init__(self, source: BlockSource, batch_size: int, rows: slice, seed: Seed) -> None:
        self._source = source
        self._rows = np.arange(rows.start, rows.stop)
        self._seed = seed
        self._epoch = -1
        self._ends = self._regions = np.zeros(0, np.int64)
        self._open: dict[int, Region] = {}
        self.batches_per_epoch = int(source.counts.sum()) // batch_size
        """Batches of an epoch; the blocks that are left over are not visited in it."""

    def load(self, epoch: int, batches: range) -> np.ndarray:
        """Load this process's rows of some batches of an epoch.

        Returns:
            float32 (len(batches), rows, …).
        """
        self._start_epoch(epoch)
        parts = self._rows[None] * self.batches_per_epoch
        positions = (parts + np.array(batches)[:, None]).reshape(-1)
        visited = np.searchsorted(self._ends, positions, side="right")
        numbers = positions - (self._ends - self._source.counts[self._regions])[visited]

        loaded = np.empty((len(positions), *self._source.block_shape), np.float32)
        by_region = np.argsort(visited, kind="stable")
        first = np.flatnonzero(np.diff(visited[by_region], prepend=-1))
        still_open = {}
        for chosen in np.split(by_region, first[1:]):
            region = int(self._regions[visited[chosen[0]]])
            blocks = self._open.pop(region, None) or self._source.read(region)
            still_open[region] = blocks
            loaded[chosen] = blocks.take(self._shuffled(region)[numbers[chosen]])
        self._open = still_open  # the next batches continue in them
        return loaded.reshape(len(batches), len(self._rows), *self._source.block_shape)

    def _start_epoch(self, epoch: int) -> None:
        """Shuffle the regions of an epoch, unless it is the one before."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._regions = _generator(self._seed, epoch).permutation(len(self._source.counts))
            self._ends = np.cumsum(self._source.counts[self._regions])

    def _shuffled(self, region: int) -> np.ndarray:
        """Shuffle the blocks of a region."""
        return _generator(self._seed, self._epoch, region).permutation(int(self._source.counts[region]))


def _generator(seed: Sequence[int], *numbers: int) -> np.random.Generator:
    return np.random.default_rng([*seed, *numbers])
