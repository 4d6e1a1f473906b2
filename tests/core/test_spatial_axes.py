import numpy as np
import pytest
import tensorstore as ts

from nvc_jax.core.spatial_axes import (
    coded_shape,
    count_steps,
    neighbour_index,
    padded_shape,
    piece_shape,
    spatial_axes,
    spatial_index,
    spatial_region,
    spatial_shape,
    spatial_volume,
)


@pytest.mark.parametrize(
    ("chunk", "axes", "whole", "padded"),
    [
        ((64, 64, 128), [0, 1, 2], (64, 64, 128), (64, 64, 128)),
        ((512, 256), [0, 1], (1, 512, 256), (8, 512, 256)),
        ((1, 1, 16, 24, 32), [2, 3, 4], (16, 24, 32), (16, 24, 32)),
        ((16, 24, 32, 1), [0, 1, 2], (16, 24, 32), (16, 24, 32)),
        ((16, 1, 24, 1), [0, 2], (1, 16, 24), (8, 16, 24)),
        ((1, 1), [], (1, 1, 1), (8, 8, 8)),
    ],
)
def test_the_shape_of_a_chunk_tells_its_spatial_axes(
    chunk: tuple[int, ...], axes: list[int], whole: tuple, padded: tuple
) -> None:
    assert spatial_axes(chunk) == axes
    assert spatial_shape(chunk, chunk) == whole
    assert padded_shape(spatial_shape(chunk, chunk), 8) == padded


def test_five_sides_above_1_are_too_many() -> None:
    rule = r"\(8, 8, 8, 8, 8\) has 5 sides longer than 1; it must have at most 4"
    with pytest.raises(ValueError, match=rule):
        spatial_axes((8, 8, 8, 8, 8))


def test_of_four_long_sides_the_first_is_the_step_axis() -> None:
    for chunk in ((5, 8, 16, 24), (1, 5, 8, 16, 24), (5, 1, 8, 16, 24), (5, 8, 16, 24, 1)):
        valid = tuple(min(side, 7) for side in chunk)
        assert spatial_axes(chunk) == [axis for axis, side in enumerate(chunk) if side > 5]
        assert spatial_shape(chunk, chunk) == (8, 16, 24)
        assert (count_steps(chunk, chunk), count_steps(valid, chunk)) == (5, 5)
        assert coded_shape(chunk, chunk) == (5, 8, 16, 24)
        assert coded_shape(valid, chunk) == (5, 7, 7, 7)
    last = (1, 8, 16, 24)
    assert coded_shape(last, (5, 8, 16, 24)) == (1, 8, 16, 24)
    assert coded_shape(last, last) == (8, 16, 24)
    assert count_steps(last, last) == 1


def test_a_chunk_lies_in_the_volume_of_its_step() -> None:
    values = np.arange(2 * 9 * 3 * 10 * 11).reshape(2, 9, 3, 10, 11)
    chunk, region = (1, 8, 1, 8, 8), np.s_[1:2, 8:9, 2:3, 0:8, 8:11]
    volume = spatial_volume(ts.array(values), region, chunk)
    np.testing.assert_array_equal(volume.read().result(), values[1, :, 2])
    part = volume[spatial_region(region, chunk)].read().result()
    np.testing.assert_array_equal(part, values[region].reshape(spatial_shape((1, 1, 1, 8, 3), chunk)))
    plane = spatial_volume(ts.array(values[0, 0, 0]), np.s_[0:8, 8:11], (8, 8))
    np.testing.assert_array_equal(plane.read().result(), values[:1, 0, 0][0][None])


def test_neighbours_are_of_one_step() -> None:
    chunk, index = (1, 8, 1, 8, 8), (1, 0, 2, 1, 0)
    assert spatial_index(index, chunk) == (0, 1, 0)
    assert neighbour_index((1, 1, 0), index, chunk) == (1, 1, 2, 1, 0)
    assert neighbour_index(spatial_index(index, chunk), index, chunk) == index
    assert neighbour_index((0, 3, 4), (0, 0), (8, 8)) == (3, 4)


def test_pieces_hold_several_steps_where_these_are_small() -> None:
    assert piece_shape((50, 40, 40), (8, 8, 8), (64, 64, 64), 1000) == (64, 64, 64)
    assert piece_shape((100, 10, 10, 10), (1, 8, 8, 8), (1, 16, 16, 16), 5000) == (5, 16, 16, 16)
    assert piece_shape((7, 5, 10, 10), (1, 1, 8, 8), (1, 1, 16, 16), 2000) == (4, 5, 16, 16)
    assert piece_shape((100, 10, 10, 10), (4, 8, 8, 8), (4, 16, 16, 16), 50000) == (4, 16, 16, 16)
    assert piece_shape((7, 100, 100), (1, 8, 8), (1, 128, 128), 1000) == (1, 128, 128)
