import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.chunks.halo import make_window, scale_region
from nvc_jax.core.chunk_grid import chunk_regions
from nvc_jax.core.shapes import Shape3

SHAPES = st.tuples(*[st.integers(1, 6)] * 3)


@given(SHAPES, SHAPES, st.integers(0, 3))
def test_windows_hold_their_chunk_and_its_halo(grid: Shape3, chunk_blocks: Shape3, halo: int) -> None:
    numbers = np.arange(np.prod(grid)).reshape(grid)
    shapes = set()
    for region in chunk_regions(grid, chunk_blocks):
        window = make_window(region, chunk_blocks, grid, halo)
        shapes.add(window.shape)
        blocks = numbers[window.region]
        assert blocks.shape == window.shape
        np.testing.assert_array_equal(blocks[window.chunk], numbers[region])
        around = tuple(slice(max(part.start - halo, 0), part.stop + halo) for part in region)
        assert set(numbers[around].ravel()) <= set(blocks.ravel())
    assert len(shapes) == 1  # one compiled program serves all windows


def test_windows_are_shifted_inwards_at_the_ends_of_the_volume() -> None:
    chunk = (slice(0, 2), slice(2, 4), slice(4, 5))
    window = make_window(chunk, (2, 2, 2), (5, 6, 5), 1)
    assert (window.first, window.shape) == ((0, 1, 1), (4, 4, 4))
    assert window.chunk == (slice(0, 2), slice(1, 3), slice(3, 4))


def test_blocks_become_voxels() -> None:
    region = (slice(0, 2), slice(1, 3), slice(4, 5))
    assert scale_region(region, 8) == (slice(0, 16), slice(8, 24), slice(32, 40))
    for factor, part in itertools.product((1, 3), region):
        assert scale_region((part,), factor)[0].stop == part.stop * factor
