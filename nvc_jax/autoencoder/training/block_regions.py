"""Training blocks cut from volumes (paper, section 3.1), region by region."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorstore as ts

from nvc_jax.autoencoder.training.blocks import BlockWindows
from nvc_jax.core.cached_properties import cached_property
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.normalization import is_wide, normalize, normalize_wide
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.io.lazy import read_region
from nvc_jax.io.measurements import open_measurements
from nvc_jax.training.config import volume_names
from nvc_jax.training.mesh import gather_from_processes

EMPTY_MEAN = 1e-5
"""Largest mean of a block that counts as empty: empty space teaches the network nothing."""

_REGION_BLOCKS = 8
"""Side of a region in blocks: large enough to read it at once, small enough to hold one for every row of a
batch in memory."""

_to_unit_range = jax.jit(normalize)


@dataclasses.dataclass(frozen=True)
class _Volume:
    """A volume of three axes that blocks are cut from.

    Attributes:
        store: of the volume.
        grid: number of regions along each axis.
        corners: int (n, 3), first core voxels of the blocks drawn at random; None for those of the grid.
    """

    store: ts.TensorStore
    grid: Shape3
    corners: np.ndarray | None


class BlockRegions:
    """Training blocks for a model, read from volumes when they are needed (paper, section 3.1).

    Each volume is scaled to [0, 1] by its finite range and cut into blocks with the model's margin. Blocks
    whose mean is at most ``EMPTY_MEAN`` are dropped. For these, each volume is read twice at the start, every
    region by one of the processes.

    Args:
        volumes: volumes that ``open_volume`` takes.
        config: the model's configuration, with the block size and the margin.
        key: randomness of the positions.
        blocks_per_volume: blocks drawn at random positions from every volume, so that large volumes do not
            outweigh small ones; None takes every block of the grid once (the paper).
        drop_empty: whether to drop empty blocks.

    Raises:
        ValueError: there is no volume, or all blocks are empty.
    """

    def __init__(
        self,
        volumes: Iterable[Any],
        config: ModelConfig,
        *,
        key: jax.Array,
        blocks_per_volume: int | None = None,
        drop_empty: bool = True,
    ) -> None:
        volumes = list(volumes)
        self._block, self._margin, self._side = config.block_size, config.margin, config.side
        self._region = _REGION_BLOCKS * self._block
        # A block at a random position may begin at the last voxel of a region.
        self._overhang = 0 if blocks_per_volume is None else self._block - 1
        self._volumes = [
            self._lay_out(store, jax.random.fold_in(key, index), blocks_per_volume)
            for index, store in enumerate(step for volume in volumes for step in open_measurements(volume))
        ]
        self._first_regions = np.cumsum([0, *(math.prod(volume.grid) for volume in self._volumes)])
        self._ranges = self._survey_ranges()
        self._kept = self._survey_blocks(drop_empty)
        self._sources = volume_names(volumes)
        if not self.counts.any():
            raise ValueError("`volumes` must hold at least one volume with a block that is not empty")

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of blocks of each region."""
        return np.bitwise_count(self._kept).sum(axis=1, dtype=np.int64)

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Shape of a block."""
        return (self._side,) * 3

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the volumes that the blocks are cut from."""
        return self._sources

    def read(self, region: int) -> BlockWindows:
        """Read a region by its number."""
        corners = self._corners(region)
        kept = np.unpackbits(self._kept[region])[: len(corners)] != 0
        return self._read_blocks(region, corners[kept])

    def _lay_out(self, store: ts.TensorStore, key: jax.Array, n_drawn: int | None) -> _Volume:
        """Divide a volume into regions, and draw the positions of its blocks."""
        shape = check_shape(store.shape)
        n_blocks = grid_shape(shape, self._block)
        regions = grid_shape(n_blocks, _REGION_BLOCKS)
        if n_drawn is None:
            return _Volume(store, regions, None)
        limits = (np.array(n_blocks) - 1) * self._block + 1
        drawn = jax.random.randint(key, (3, n_drawn), 0, jnp.array(limits)[:, None])
        return _Volume(store, regions, np.asarray(drawn).T)

    def _locate(self, region: int) -> tuple[int, np.ndarray]:
        """Find the volume of a region, and the region's first voxel in it."""
        volume = int(np.searchsorted(self._first_regions, region, side="right")) - 1
        number = region - self._first_regions[volume]
        return volume, np.array(np.unravel_index(number, self._volumes[volume].grid)) * self._region

    def _corners(self, region: int) -> np.ndarray:
        """List the blocks of a region, also empty ones: int (n, 3), first voxels in the region's array."""
        index, start = self._locate(region)
        volume = self._volumes[index]
        if volume.corners is not None:
            inside = (volume.corners >= start) & (volume.corners < start + self._region)
            return volume.corners[inside.all(axis=1)] - start
        n_blocks = np.array(grid_shape(check_shape(volume.store.shape), self._block))
        counts = np.minimum(n_blocks - start // self._block, _REGION_BLOCKS)
        return np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1).reshape(-1, 3) * self._block

    def _read_blocks(self, region: int, corners: np.ndarray) -> BlockWindows:
        """Read a region with the blocks at ``corners``."""
        index, core = self._locate(region)
        store, (minimum, maximum) = self._volumes[index].store, self._ranges[index]
        start = core - self._margin
        stop = start + self._region + 2 * self._margin + self._overhang
        values = _read(store, start, np.minimum(stop, store.shape))
        # Margins beyond the volume are 0 once they are scaled, as NaN is; one shape makes one program.
        padding = [
            (max(0, -first), last - max(first, 0) - length)
            for first, last, length in zip(start, stop, values.shape, strict=True)
        ]
        padded = np.pad(values, padding, constant_values=np.nan)
        if is_wide(padded.dtype):
            unit = normalize_wide(padded, minimum, maximum)
        else:
            unit = np.asarray(_to_unit_range(padded, jnp.float32(minimum), jnp.float32(maximum)))
        return BlockWindows(unit, corners, self._side)

    def _own_regions(self) -> range:
        """Regions that this process surveys."""
        return range(jax.process_index(), int(self._first_regions[-1]), jax.process_count())

    def _survey_ranges(self) -> np.ndarray:
        """Find the finite range of each volume, float64 (n, 2); (0, 0) where no value is finite."""
        found = np.tile(np.array([np.inf, -np.inf]), (len(self._volumes), 1))
        for region, (minimum, maximum) in self._map_own(self._range_of):
            index, _ = self._locate(region)
            found[index] = min(found[index, 0], minimum), max(found[index, 1], maximum)
        gathered = gather_from_processes(found)
        ranges = np.stack([gathered[..., 0].min(axis=0), gathered[..., 1].max(axis=0)], axis=1)
        return np.where(ranges[:, :1] > ranges[:, 1:], 0.0, ranges)

    def _range_of(self, region: int) -> tuple[float, float]:
        index, start = self._locate(region)
        store = self._volumes[index].store
        values = _read(store, start, np.minimum(start + self._region, store.shape))
        finite = np.isfinite(values)
        return (
            float(values.min(where=finite, initial=np.inf)),
            float(values.max(where=finite, initial=-np.inf)),
        )

    def _survey_blocks(self, drop_empty: bool) -> np.ndarray:
        """Find the blocks that are kept: a bit for each, uint8 (n_regions, n)."""
        rows = [
            (region, np.packbits(is_kept))
            for region, is_kept in self._map_own(lambda region: self._find_kept(region, drop_empty))
        ]
        width = max((len(bits) for _, bits in rows), default=0)
        width = int(gather_from_processes(np.array(width)).max())
        kept = np.zeros((int(self._first_regions[-1]), width), np.uint8)
        for region, bits in rows:
            kept[region, : len(bits)] = bits
        return np.bitwise_or.reduce(gather_from_processes(kept), axis=0)

    def _find_kept(self, region: int, drop_empty: bool) -> np.ndarray:
        corners = self._corners(region)
        if not drop_empty or not len(corners):
            return np.ones(len(corners), bool)
        blocks = self._read_blocks(region, corners).take(np.arange(len(corners)))
        return blocks.mean(axis=(1, 2, 3)) > EMPTY_MEAN

    def _map_own(self, function: Any) -> Iterator[tuple[int, Any]]:
        """Map the regions that this process surveys by threads: pairs of a region and its result."""
        first, second = itertools.tee(self._own_regions())
        return zip(first, map_in_order(function, second), strict=True)


def _read(store: ts.TensorStore, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Read the voxels of a volume from ``start`` or 0 to ``stop``: float32, or float64 of a wide dtype."""
    bounds = zip(np.maximum(start, 0).tolist(), stop.tolist(), strict=True)
    values = read_region(store, tuple(slice(*pair) for pair in bounds))
    return values.astype(np.float64 if is_wide(values.dtype) else np.float32)
