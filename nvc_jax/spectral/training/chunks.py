"""Chunks of volumes that a spectral model is fitted on: chosen at random, and loaded one for each device."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tensorstore as ts
from jax.sharding import Mesh

from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.core.filling import fill_smoothly
from nvc_jax.core.normalization import finite_limits, finite_range, is_wide, normalize_wide
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.io.lazy import read_region
from nvc_jax.spectral import encoder
from nvc_jax.training.mesh import local_rows, map_over_devices, share_rows
from nvc_jax.training.supervision import TimedItems
from nvc_jax.transform.block_layout import BLOCK_SIZE, make_layout

_CHUNKS_PER_VOLUME = 2
"""Chunks of a volume that is larger than one."""
_LARGEST_SIDE = 128
"""Largest side of a chunk in voxels: that of the chunks that ``compress`` makes."""

_inside = jax.jit(lambda grid, valid_shape: make_layout(grid, valid_shape).inside, static_argnums=0)


class TrainingChunk(NamedTuple):
    """A part of a volume.

    Attributes:
        volume: (z, y, x), of a supported dtype.
        region: of the volume.
        weight: share of the volume's weight.
    """

    volume: ts.TensorStore
    region: Region
    weight: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides of the chunk."""
        return tuple(part.stop - part.start for part in self.region)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return math.prod(grid_shape(check_shape(self.shape), BLOCK_SIZE))


def choose_chunks(volumes: Sequence[ts.TensorStore], *, seed: int) -> list[TrainingChunk]:
    """Choose chunks of volumes, in random places: all of a small volume, a few parts of a large one.

    Args:
        volumes: (z, y, x) each, of supported dtypes.
        seed: the only source of randomness.
    """
    rng = np.random.default_rng(seed)
    largest = _padded_shape([volume.shape for volume in volumes])
    chunks = []
    for volume in volumes:
        sides = np.minimum(volume.shape, largest)
        n = 1 if (sides == volume.shape).all() else _CHUNKS_PER_VOLUME
        for _ in range(n):
            starts = rng.integers(np.array(volume.shape) - sides + 1)
            region = tuple(slice(int(a), int(a + side)) for a, side in zip(starts, sides, strict=True))
            chunks.append(TrainingChunk(volume, region, 1 / n))
    return chunks


def check_chunks(chunks: Sequence[TrainingChunk]) -> None:
    """Check that there is something to learn from: two different values in one of the chunks.

    Raises:
        ValueError: there is not.
    """

    def varies(chunk: TrainingChunk) -> bool:
        values = read_region(chunk.volume, chunk.region)
        finite = values[np.isfinite(values)]
        return finite.size > 0 and bool(finite.min() < finite.max())

    if not any(map(varies, chunks)):  # nearly always the first one does
        raise ValueError(
            f"there is nothing to learn from in `volumes`: in all {len(chunks)} parts that were read, values "
            "are alike, missing or not finite; give volumes of different values"
        )


def _padded_shape(shapes: Sequence[tuple[int, ...]]) -> Shape3:
    """Compute the shape that all chunks are padded to, so that one compiled program serves them all."""
    sides = -(-np.max(shapes, axis=0) // BLOCK_SIZE) * BLOCK_SIZE
    return check_shape(tuple(np.minimum(sides, _LARGEST_SIDE).tolist()))


class ChunkGroup(NamedTuple):
    """Chunks that are worked on at a time, one by each device.

    Attributes:
        numbers: of the chunks; fewer than devices in the last group.
        centered: float32 (n_devices, z, y, x), from ``encoder.center_volume``, each on its device.
        valid_shapes: int32 (n_devices, 3), voxels along z, y, x that lie in the volumes; likewise.
        shapes: the same of the chunks, on the host.
        mesh: of the devices.
    """

    numbers: range
    centered: jax.Array
    valid_shapes: jax.Array
    shapes: list[tuple[int, ...]]
    mesh: Mesh

    def inside(self, index: int) -> np.ndarray:
        """Tell of each block of a chunk whether it lies inside of the volume, bool (n_blocks,)."""
        grid = grid_shape(check_shape(self.centered.shape[1:]), BLOCK_SIZE)
        return np.asarray(_inside(grid, jnp.array(self.shapes[index], jnp.int32)))

    def share(self, *arrays: np.ndarray) -> tuple[jax.Array, ...]:
        """Put each device's row of arrays (n_devices, …) on it."""
        rows = local_rows(self.mesh, self.mesh.size)
        return tuple(share_rows(self.mesh, array[rows]) for array in arrays)


class ChunkLoader:
    """Loads chunks in their order, group by group, every process those of its own devices.

    Args:
        chunks: from ``choose_chunks``.
        mesh: of the devices.
    """

    def __init__(self, chunks: Sequence[TrainingChunk], mesh: Mesh) -> None:
        self.chunks, self.mesh = chunks, mesh
        self._padded = _padded_shape([chunk.shape for chunk in chunks])
        self._center = map_over_devices(mesh, _center)

    def shuffle(self, seed: int) -> "ChunkLoader":
        """Make a loader of the same chunks in a random order."""
        loader = copy.copy(self)
        order = np.random.default_rng(seed).permutation(len(self.chunks))
        loader.chunks = [self.chunks[number] for number in order]
        return loader

    def take(self, n_chunks: int) -> "ChunkLoader":
        """Make a loader of the first chunks, which are padded to the same shape."""
        loader = copy.copy(self)
        loader.chunks = self.chunks[:n_chunks]
        return loader

    def groups(self, first: int = 0) -> TimedItems[ChunkGroup]:
        """Load all chunks from number ``first`` on; one thread reads the next group meanwhile."""
        starts = range(first, len(self.chunks), self.mesh.size)
        groups = [range(start, min(start + self.mesh.size, len(self.chunks))) for start in starts]
        return TimedItems(self._share(groups))

    def _share(self, groups: list[range]) -> Iterator[ChunkGroup]:
        for numbers, values in zip(groups, map_in_order(self._load, groups, n_workers=1), strict=True):
            shapes = [self.chunks[number].shape for number in numbers]
            filled = [*shapes, *[self._padded] * (self.mesh.size - len(shapes))]
            rows = local_rows(self.mesh, self.mesh.size)
            valid_shapes = share_rows(self.mesh, np.array(filled, np.int32)[rows])
            centered = self._center((), (share_rows(self.mesh, values),), is_gathered=False)
            yield ChunkGroup(numbers, centered, valid_shapes, shapes, self.mesh)

    def _load(self, numbers: range) -> np.ndarray:
        """Read this process's chunks of a group, float32 (n, z, y, x); zeros where there are no more."""
        rows = local_rows(self.mesh, self.mesh.size)
        loaded = np.zeros((rows.stop - rows.start, *self._padded), np.float32)
        for row, number in enumerate(numbers[rows]):
            loaded[row] = _read_padded(self.chunks[number], self._padded)
        return loaded


def _read_padded(chunk: TrainingChunk, padded: Shape3) -> np.ndarray:
    """Read a chunk, fill its gaps, and repeat its last planes up to the shape ``padded``."""
    part = read_region(chunk.volume, chunk.region)
    filled = fill_smoothly(_to_float32(part), np.isfinite(part))
    widths = [(0, side - length) for side, length in zip(padded, part.shape, strict=True)]
    return np.pad(filled, widths, mode="edge")


def _to_float32(values: np.ndarray) -> np.ndarray:
    """Convert values to float32, scaled if that does not hold them: a chunk is scaled by its range anyway."""
    if not is_wide(values.dtype):
        return values.astype(np.float32)
    return normalize_wide(values, *finite_limits(values))


def _center(shared: tuple[()], values: jax.Array) -> jax.Array:
    """Scale a chunk by its own range."""
    return encoder.center_volume(values, *finite_range(values))
