import numpy as np
import pytest

from nvc_jax.chunks.mosaic import assemble, mosaic_shape, pick_tiles, tile_shape
from nvc_jax.core.chunk_grid import chunk_regions


@pytest.mark.parametrize(
    ("chunk", "tile"),
    [
        ((128, 128, 128), (32, 32, 32)),
        ((1, 64, 48), (1, 16, 24)),
        ((24, 40, 16), (24, 20, 16)),
    ],
)
def test_tiles_divide_a_chunk(chunk: tuple[int, ...], tile: tuple[int, ...]) -> None:
    assert tile_shape(chunk) == tile


@pytest.mark.parametrize(
    ("chunk", "mosaic"),
    [
        ((128, 128, 128), (64, 128, 128)),
        ((1, 64, 48), (1, 32, 48)),
        ((24, 40, 16), (24, 20, 16)),
        ((24, 24, 24), (24, 24, 24)),
    ],
)
def test_a_mosaic_is_half_a_chunk_of_whole_tiles(chunk: tuple[int, ...], mosaic: tuple[int, ...]) -> None:
    assert mosaic_shape(chunk) == mosaic
    assert all(side % own == 0 for side, own in zip(mosaic, tile_shape(chunk), strict=True))


def test_tiles_come_from_all_over_a_volume_and_fill_a_mosaic() -> None:
    chunk, shape = (32, 32, 64), (70, 65, 130)
    regions = chunk_regions(shape, chunk)
    tiles = pick_tiles(regions, chunk)
    assert len(tiles) == len(set(map(str, tiles))) == 8
    for axis, side in enumerate(shape):
        starts = {tile[axis].start for tile in tiles}
        assert min(starts) < side / 3
        assert 2 / 3 * side < max(tile[axis].stop for tile in tiles) <= side
    volume = np.arange(np.prod(shape)).reshape(shape)
    mosaic = assemble([volume[tile] for tile in tiles], mosaic_shape(chunk))
    assert mosaic.shape == (16, 32, 64)
    assert set(mosaic.reshape(-1)) == {value for tile in tiles for value in volume[tile].reshape(-1)}
    np.testing.assert_array_equal(mosaic[:16, :16, :16], volume[tiles[0]])
    np.testing.assert_array_equal(mosaic[:, 16:, 48:], volume[tiles[-1]])


def test_chunks_that_are_too_small_have_no_mosaic() -> None:
    assert pick_tiles(chunk_regions((20, 20, 20), (16, 16, 16)), (16, 16, 16)) == []
    assert pick_tiles(chunk_regions((20, 20, 20), (64, 64, 64)), (64, 64, 64)) == []
