import numpy as np
import pytest

from nvc_jax.core.chunk_grid import (
    chunk_region,
    chunk_regions,
    chunk_valid_shape,
    chunks_in_region,
    full_region,
    inner_boundaries,
    shift_region,
)

SHAPE, CHUNK = (20, 8, 23), (8, 8, 8)


def test_chunks_cover_every_voxel_once() -> None:
    covered = np.zeros(SHAPE, int)
    for region in chunk_regions(SHAPE, CHUNK):
        covered[region] += 1
    assert (covered == 1).all()


def test_the_last_chunks_are_cut_off() -> None:
    assert chunk_region((2, 0, 2), CHUNK, SHAPE) == (slice(16, 20), slice(0, 8), slice(16, 23))
    assert chunk_valid_shape((2, 0, 2), CHUNK, SHAPE) == (4, 8, 7)


@pytest.mark.parametrize(
    "region", [full_region(SHAPE), (slice(3, 17), slice(2, 3), slice(8, 16)), (slice(0, 1),) * 3]
)
def test_chunks_of_a_region_assemble_it(region: tuple[slice, ...]) -> None:
    volume = np.random.default_rng(0).random(SHAPE)
    assembled = np.full(volume[region].shape, np.nan)
    for index, in_region, in_chunk in chunks_in_region(region, CHUNK):
        assembled[in_region] = volume[chunk_region(index, CHUNK, SHAPE)][in_chunk]
    np.testing.assert_array_equal(assembled, volume[region])


def test_a_region_touches_only_the_chunks_that_it_overlaps() -> None:
    indices = [index for index, *_ in chunks_in_region((slice(8, 16), slice(0, 8), slice(7, 9)), CHUNK)]
    assert indices == [(1, 0, 0), (1, 0, 1)]


def test_inner_boundaries_are_those_with_a_neighbour() -> None:
    boundaries = {
        index: inner_boundaries(chunk_region(index, CHUNK, SHAPE), SHAPE)
        for index in ((0, 0, 0), (1, 0, 1), (2, 0, 2))
    }
    assert boundaries == {(0, 0, 0): 0b100010, (1, 0, 1): 0b110011, (2, 0, 2): 0b010001}


def test_a_region_of_a_part_is_shifted_to_the_part() -> None:
    assert shift_region((slice(0, 3), slice(2, 4)), (5, 0)) == (slice(5, 8), slice(2, 4))
