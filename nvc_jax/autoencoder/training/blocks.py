"""Training blocks in memory: windows of an array, and an array of blocks."""

import dataclasses

import numpy as np

from nvc_jax.training.stream import BlockSource

_ARRAY_REGION = 512
"""Blocks of a region of ``BlockArray``."""


@dataclasses.dataclass(frozen=True)
class BlockWindows:
    """Blocks of a region: windows of an array.

    Attributes:
        values: float32 (z, y, x) in [0, 1], the region and what its blocks need around it.
        corners: int (n, 3), first voxel of each block.
        side: of a block in voxels.
    """

    values: np.ndarray
    corners: np.ndarray
    side: int

    def take(self, blocks: np.ndarray) -> np.ndarray:
        """Copy blocks, float32 (n, side, side, side), by their numbers."""
        windows = np.lib.stride_tricks.sliding_window_view(self.values, (self.side,) * 3)
        return windows[tuple(self.corners[blocks].T)]


@dataclasses.dataclass(frozen=True)
class BlockArray:
    """Training blocks in memory.

    Attributes:
        blocks: float32 (n, side, side, side) in [0, 1].
        sources: names of the volumes that the blocks were cut from.
    """

    blocks: np.ndarray
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = self.blocks.shape
        if len(shape) != 4 or shape[0] == 0 or len(set(shape[1:])) != 1:
            raise ValueError(f"`blocks` has shape {shape}; it must be (n, side, side, side) with n ≥ 1")

    @property
    def counts(self) -> np.ndarray:
        """Number of blocks of each region."""
        n = len(self.blocks)
        return np.minimum(_ARRAY_REGION, n - np.arange(0, n, _ARRAY_REGION))

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Shape of a block."""
        return self.blocks.shape[1:]

    def read(self, region: int) -> "BlockArray":
        """Return the blocks of a region."""
        start = region * _ARRAY_REGION
        return dataclasses.replace(self, blocks=self.blocks[start : start + _ARRAY_REGION])

    def take(self, blocks: np.ndarray) -> np.ndarray:
        """Copy blocks by their numbers."""
        return self.blocks[blocks]


def load_blocks(source: BlockSource) -> np.ndarray:
    """Load all blocks of a source into memory, float32 (n, …), in the order of their regions."""
    regions = range(len(source.counts))
    return np.concatenate([source.read(region).take(np.arange(source.counts[region])) for region in regions])
