from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filter_networks import random_network
from hypothesis import given, settings
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.native.library import load_kernels
from nvc_jax.spectral import native_filter, post_filter

pytestmark = pytest.mark.skipif(load_kernels() is not None, reason="there are no kernels")
NOISE, LEVELS = np.float32(0.02), np.array([-1.4, 0.6], np.float32)

by_kernel = jax.jit(native_filter.find_correction)
by_reference = jax.jit(post_filter.find_correction_reference)


def make_volume(shape: Shape3, seed: int, roughness: float = 0.02) -> np.ndarray:
    """Waves of a random direction with noise, cut off at 0 and 1 as decoded volumes are."""
    rng = np.random.default_rng(seed)
    phases = np.einsum("a,azyx->zyx", rng.choice([0.02, 0.2, 2.0], 3), np.indices(shape))
    noise = rng.normal(size=shape) * roughness
    return np.clip(np.sin(phases) * 0.6 + 0.5 + noise, 0, 1).astype(np.float32)


@settings(max_examples=30)
@given(
    st.sampled_from([(8, 8, 8), (24, 16, 40), (16, 48, 8)]),
    st.integers(0, 20),
    st.integers(0, 100),
    st.sampled_from([1, 6, 20]),
    st.sampled_from([0.0, 0.001, 0.1]),
    st.sampled_from([0.25, 0.013, 1e-4, 2.0**-31]),
)
def test_corrections_are_those_of_the_reference_up_to_rounding(
    shape: Shape3, missing: int, seed: int, n_units: int, roughness: float, noise: float
) -> None:
    valid = np.maximum(np.array(shape) - [missing, missing // 2, missing // 3], 1)
    volume, network = make_volume(shape, seed, roughness), random_network(n_units)
    arguments = (network, volume, valid.astype(np.int32), np.float32(noise), LEVELS)
    kernel, reference = by_kernel(*arguments), np.asarray(by_reference(*arguments))
    inside = tuple(map(slice, valid))
    # Means of cubes are rounded, and their differences come in units of the noise.
    tolerance = 1e-5 * noise + 1e-7
    np.testing.assert_allclose(kernel[inside], reference[inside], rtol=0, atol=tolerance)


@given(st.tuples(*[st.integers(1, 24)] * 3), st.integers(0, 100), st.sampled_from([3, 12]))
def test_what_lies_beyond_the_valid_voxels_does_not_matter(valid: Shape3, seed: int, n_units: int) -> None:
    volume, network = make_volume((24, 24, 24), seed), random_network(n_units)
    inside = tuple(map(slice, valid))
    correct = partial(by_kernel, network, noise=NOISE, levels=LEVELS)
    alone = correct(volume[inside].copy(), np.array(valid, np.int32))
    padded = np.array(correct(volume, np.array(valid, np.int32)))
    np.testing.assert_array_equal(padded[inside], alone)
    padded[inside] = 0
    assert not padded.any()


def test_equal_surroundings_have_equal_corrections() -> None:
    rng = np.random.default_rng(0)
    tile = rng.random((6, 7, 11), np.float32)
    volume = np.tile(tile, (6, 6, 5))
    correction = by_kernel(random_network(9), volume, np.array(volume.shape, np.int32), NOISE, LEVELS)
    middle = np.asarray(correction)[12:24, 14:28, 22:33]
    np.testing.assert_array_equal(middle, np.tile(middle[:6, :7, :11], (2, 2, 1)))


def test_units_are_limited_from_below_and_corrections_on_both_sides() -> None:
    zeros = jax.tree.map(jnp.zeros_like, random_network(7))
    volume, valid = make_volume((9, 10, 11), 0), np.array([9, 10, 11], np.int32)
    of_bias = {0.25: 0.25, -1.5: -1.5, 9.0: 4.0, -9.0: -4.0}
    for bias, expected in of_bias.items():
        dead = zeros | {
            "first_weights": jnp.ones_like(zeros["first_weights"]),
            "first_biases": jnp.full_like(zeros["first_biases"], -1000.0),
            "second_weights": jnp.ones_like(zeros["second_weights"]),
            "last_weights": jnp.ones_like(zeros["last_weights"]),
            "last_biases": jnp.full_like(zeros["last_biases"], bias),
        }
        correction = by_kernel(dead, volume, valid, NOISE, LEVELS)
        np.testing.assert_array_equal(correction, np.full_like(volume, np.float32(expected) * NOISE))


def test_a_batch_is_corrected_volume_by_volume() -> None:
    volumes = np.stack([make_volume((8, 8, 16), seed) for seed in range(3)])
    valid = np.array([[8, 8, 16], [3, 8, 1], [8, 7, 16]], np.int32)
    network = random_network(5)
    batched = jax.jit(jax.vmap(by_kernel, in_axes=(None, 0, 0, None, None)))
    together = batched(network, volumes, valid, NOISE, LEVELS)
    for result, *arguments in zip(together, volumes, valid, strict=True):
        np.testing.assert_array_equal(result, by_kernel(network, *arguments, NOISE, LEVELS))


@pytest.mark.parametrize("part", ["first_weights", "second_weights", "last_biases"])
def test_a_network_of_other_shapes_is_refused(part: str) -> None:
    network = random_network(4)
    other = network | {part: jnp.zeros([side + 1 for side in network[part].shape], jnp.float32)}
    volume = make_volume((8, 8, 8), 0)
    with pytest.raises(jax.errors.JaxRuntimeError, match="network"):
        by_kernel(other, volume, np.full(3, 8, np.int32), NOISE, LEVELS).block_until_ready()
