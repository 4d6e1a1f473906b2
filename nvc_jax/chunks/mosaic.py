"""Mosaics of tiles from all over a volume, half as large as a chunk: samples that are quick to encode."""

import itertools
import math

import numpy as np

from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.shapes import Shape
from nvc_jax.core.systematic_sampling import scatter

_CUTS = 4
"""Tiles along each axis of a mosaic, if the chunk is not too small."""
_CHUNKS_PER_TILE = 2
"""Chunks, for each tile of a mosaic, among whose tiles it is picked: those at the ends may have none."""
_SMALLEST_SIDE = 16
"""Smallest side of a tile, in voxels, along an axis that is cut."""


def tile_shape(chunk: Shape) -> Shape:
    """Shape of the tiles of a mosaic of a chunk's shape."""
    return tuple(_cut(side) for side in chunk)


def _cut(side: int) -> int:
    cuts = _CUTS
    while cuts > 1 and (side % cuts or side // cuts < _SMALLEST_SIDE):
        cuts //= 2
    return side // cuts


def mosaic_shape(chunk: Shape) -> Shape:
    """Shape of a mosaic of a chunk's shape: half a chunk, cut along the first axis that can be halved."""
    grid = [side // own for side, own in zip(chunk, tile_shape(chunk), strict=True)]
    halved = next((axis for axis, n in enumerate(grid) if n % 2 == 0), None)
    return tuple(side // 2 if axis == halved else side for axis, side in enumerate(chunk))


def pick_tiles(regions: list[Region], chunk: Shape) -> list[Region]:
    """Pick the tiles of a mosaic, from regions all over a list of chunks.

    Args:
        regions: of the chunks.
        chunk: shape of a whole chunk.

    Returns:
        Regions of the volume, all of ``tile_shape``, as many as fill ``mosaic_shape``; none where the chunks
        have too few.
    """
    tile = tile_shape(chunk)
    n_tiles = math.prod(mosaic_shape(chunk)) // math.prod(tile)
    chosen = [regions[i] for i in np.sort(scatter(len(regions), _CHUNKS_PER_TILE * n_tiles))]
    tiles = [one for region in chosen for one in _tiles_of(region, tile)]
    if len(tiles) < n_tiles or n_tiles == 1:
        return []
    return [tiles[i] for i in np.sort(scatter(len(tiles), n_tiles))]


def _tiles_of(region: Region, tile: Shape) -> list[Region]:
    """List the whole tiles of a region."""
    starts = [range(part.start, part.stop - side + 1, side) for part, side in zip(region, tile, strict=True)]
    return [
        tuple(slice(start, start + side) for start, side in zip(corner, tile, strict=True))
        for corner in itertools.product(*starts)
    ]


def assemble(tiles: list[np.ndarray], shape: Shape) -> np.ndarray:
    """Put tiles of one shape together to a mosaic of a shape, in C order."""
    tile = tiles[0].shape
    grid = [side // own for side, own in zip(shape, tile, strict=True)]
    n = len(grid)
    order = [axis for pair in zip(range(n), range(n, 2 * n), strict=True) for axis in pair]
    return np.stack(tiles).reshape(*grid, *tile).transpose(order).reshape(shape)
