import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filter_networks import random_network

from nvc_jax.spectral import filter_setting, post_filter
from nvc_jax.spectral.filter_setting import MAX_STRENGTH, FilterSetting

SHAPE = (8, 16, 8)
VALID = (8, 11, 8)
INSIDE = tuple(map(slice, VALID))
STEP = jnp.float32(0.1)
DECODED = jnp.asarray(np.random.default_rng(0).uniform(0.4, 0.6, SHAPE).astype(np.float32))
NETWORK = random_network(4)

apply_filter = jax.jit(filter_setting.apply_filter)
choose_setting = jax.jit(filter_setting.choose_setting)
find_correction = jax.jit(post_filter.find_correction)


def setting(noise: int, strength: int) -> FilterSetting:
    return FilterSetting(jnp.int32(noise), jnp.int32(strength))


def choose(original: np.ndarray, *, is_bounded: bool = False) -> FilterSetting:
    arguments = (jnp.array(VALID, jnp.int32), STEP, jnp.bool_(is_bounded))
    return choose_setting(NETWORK, DECODED, jnp.asarray(original), *arguments)


def test_the_noise_is_the_root_mean_square_of_valid_voxels() -> None:
    original = np.array(DECODED)
    original[INSIDE] += np.where(np.indices(VALID).sum(axis=0) % 2, 2.0**-5, -(2.0**-5)).astype(np.float32)
    original[:, 11:] = 0
    noise, errors = filter_setting.measure_noise(DECODED, jnp.asarray(original), jnp.array(VALID, jnp.int32))
    assert int(noise) == 20
    assert float(filter_setting.to_unit(noise)) == pytest.approx(2.0**-5)
    np.testing.assert_array_equal(errors[:, 11:], 0)
    np.testing.assert_allclose(np.abs(errors[INSIDE]), 2.0**-5, rtol=1e-5)


@pytest.mark.parametrize("share", [0.3, 1.0, 2.0])
def test_the_strength_is_that_of_the_smallest_error(share: float) -> None:
    valid = jnp.array(VALID, jnp.int32)
    likely = find_correction(NETWORK, DECODED, valid, jnp.float32(0.01), STEP)
    original = np.asarray(DECODED + jnp.float32(share) * likely)
    chosen = choose(original)
    errors = []
    for strength in range(MAX_STRENGTH + 1):
        filtered = apply_filter(NETWORK, DECODED, valid, setting(int(chosen.noise), strength), STEP)
        errors.append(float(jnp.sum((filtered - original)[INSIDE] ** 2)))
    assert int(chosen.strength) == np.argmin(errors) > 0


def test_there_is_no_filter_under_a_bound_or_where_it_does_not_help() -> None:
    valid = jnp.array(VALID, jnp.int32)
    correction = find_correction(NETWORK, DECODED, valid, jnp.float32(0.01), STEP)
    wrong = np.asarray(DECODED - correction)
    assert int(choose(wrong).strength) == 0
    bounded = choose(np.asarray(DECODED + correction), is_bounded=True)
    assert [int(bounded.noise), int(bounded.strength)] == [0, 0]
    exact = choose(np.asarray(DECODED))
    assert int(exact.strength) == 0
    for strength in (0, MAX_STRENGTH):
        filtered = apply_filter(NETWORK, DECODED, valid, setting(20, strength), STEP)
        assert bool((filtered == DECODED).all()) == (strength == 0)
