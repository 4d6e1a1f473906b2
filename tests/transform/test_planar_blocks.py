import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.transform.planar_blocks import (
    BLOCK_SIZE,
    N_COEFFICIENTS,
    from_planar,
    mix_layers,
    multiply,
    next_block,
    previous_block,
    split_planes,
    to_planar,
)

RNG = np.random.default_rng(0)


def test_planes_are_the_voxels_of_blocks() -> None:
    original = RNG.random((16, 24, 40)).astype(np.float32)
    planar = np.asarray(to_planar(jnp.asarray(original)))
    assert planar.shape == (8, 8, 8, 2 * 3 * 5)
    np.testing.assert_array_equal(planar[1, 2, 3].reshape(2, 3, 5), original[1::8, 2::8, 3::8])
    np.testing.assert_array_equal(from_planar(jnp.asarray(planar), (2, 3, 5)), original)
    assert N_COEFFICIENTS == BLOCK_SIZE**3


@pytest.mark.parametrize("stride", [1, 3, 6, 10])
def test_neighbours_beyond_the_grid_are_zero(stride: int) -> None:
    values = np.arange(1.0, 7.0, dtype=np.float32)
    padded = np.pad(values, stride)
    np.testing.assert_array_equal(next_block(jnp.asarray(values), stride), padded[2 * stride :][:6])
    np.testing.assert_array_equal(previous_block(jnp.asarray(values), stride), padded[:6])


@pytest.mark.parametrize("axis", range(3))
def test_matrices_multiply_along_an_axis(axis: int) -> None:
    planar, matrix = RNG.random((8, 8, 8, 5)).astype(np.float32), RNG.random((8, 8)).astype(np.float32)
    expected = np.moveaxis(np.tensordot(matrix, planar, axes=([1], [axis])), 0, axis)
    np.testing.assert_allclose(multiply(jnp.asarray(matrix), jnp.asarray(planar), axis), expected, rtol=1e-5)
    planes = split_planes(jnp.asarray(planar), axis)
    np.testing.assert_array_equal(jnp.stack(planes, axis), planar)


@pytest.mark.parametrize("axis", range(3))
def test_only_the_given_layers_are_mixed(axis: int) -> None:
    volume, matrix = RNG.random((8, 8, 8)).astype(np.float32), RNG.random((4, 4)).astype(np.float32)
    mixed = np.asarray(mix_layers(jnp.asarray(volume), jnp.asarray(matrix), 3, axis))
    by_layer, mixed_by_layer = np.moveaxis(volume, axis, 0), np.moveaxis(mixed, axis, 0)
    np.testing.assert_array_equal(mixed_by_layer[[0, 1, 2, 7]], by_layer[[0, 1, 2, 7]])
    expected = np.tensordot(matrix, by_layer[3:7], axes=1)
    np.testing.assert_allclose(mixed_by_layer[3:7], expected, rtol=1e-5)
