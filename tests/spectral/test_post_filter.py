import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filter_networks import random_network
from reference_filter import filter_voxels, network_inputs

from nvc_jax.core.shapes import Shape3
from nvc_jax.spectral import post_filter

SHAPE = (16, 24, 8)
N_UNITS = 6

find_surroundings = jax.jit(post_filter.find_surroundings)
read_inputs = jax.jit(post_filter.read_inputs)
find_correction = jax.jit(post_filter.find_correction)
find_correction_reference = jax.jit(post_filter.find_correction_reference)


def rough_volume(shape: Shape3) -> np.ndarray:
    """Noise and an edge, between 0 and 1."""
    volume = np.random.default_rng(0).uniform(0.2, 0.3, shape)
    volume[shape[0] // 2 :] += 0.6
    return volume.astype(np.float32)


@pytest.mark.parametrize("valid_shape", [SHAPE, (13, 1, 8), (2, 24, 3)])
def test_inputs_and_corrections_are_those_of_the_format(valid_shape: Shape3) -> None:
    volume, inside = rough_volume(SHAPE), tuple(map(slice, valid_shape))
    valid, noise, step = jnp.array(valid_shape, jnp.int32), jnp.float32(2.0**-4), jnp.float32(0.1)
    network = random_network(N_UNITS)
    voxels = np.indices(valid_shape).reshape(3, -1).T.astype(np.int32)

    surroundings = find_surroundings(jnp.asarray(volume), valid)
    inputs = read_inputs(surroundings, jnp.asarray(voxels), noise, step)
    expected = network_inputs(volume[inside].astype(float), 2.0**-4, float(step))
    assert inputs.shape == (post_filter.N_INPUTS, len(voxels))
    np.testing.assert_allclose(inputs, expected, atol=1e-5, rtol=1e-5)

    filtered = filter_voxels(volume[inside].astype(float), 16, 16, float(step), network)
    levels = inputs[-2:, 0]
    for correction in (
        find_correction(network, jnp.asarray(volume), valid, noise, step),
        find_correction_reference(network, jnp.asarray(volume), valid, noise, levels),
    ):
        np.testing.assert_allclose(correction[inside], filtered - volume[inside], atol=1e-5)
        assert np.abs(correction).max() > 1e-3


def test_corrections_are_at_most_four_times_the_noise() -> None:
    network = {name: 100 * leaf for name, leaf in random_network(N_UNITS).items()}
    valid, noise = jnp.array(SHAPE, jnp.int32), jnp.float32(0.01)
    correction = find_correction(network, jnp.asarray(rough_volume(SHAPE)), valid, noise, jnp.float32(0.1))
    assert np.abs(correction).max() == pytest.approx(0.04)


def test_a_network_of_zeros_corrects_nothing() -> None:
    network = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), post_filter.abstract_filter(N_UNITS)["filter"])
    valid = jnp.array(SHAPE, jnp.int32)
    correction = find_correction(
        network, jnp.asarray(rough_volume(SHAPE)), valid, jnp.float32(0.01), jnp.float32(0.1)
    )
    np.testing.assert_array_equal(correction, 0)


def test_a_model_without_filter_has_no_parameters_of_it() -> None:
    assert post_filter.abstract_filter(0) == {}
