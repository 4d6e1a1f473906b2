from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import split_coefficients

from nvc_jax.spectral.fixed_point import to_fixed
from nvc_jax.spectral.group_coefficients import SPLIT_MEMORY, SplitCoefficients
from nvc_jax.transform import group_separable

take = jax.jit(SplitCoefficients.take)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0, 1e9])
def test_parts_hold_coefficients_to_a_small_part_of_a_step(scale: float) -> None:
    rng = np.random.default_rng(0)
    values = jnp.asarray(rng.laplace(0, scale, (40, 512)), jnp.float32)
    values = values.at[:4].set(jnp.round(values[:4] * 256) / 256)  # halves of fixed point
    parts = split_coefficients(values)
    fixed, fine, far = parts
    assert [part.dtype.name for part in parts] == list(SPLIT_MEMORY.dtypes)
    assert parts.shape == (512, 40)

    is_far = np.asarray(fixed) == -(1 << 15)
    exact = np.asarray(jax.jit(to_fixed)(values)).T
    np.testing.assert_array_equal(is_far, (np.abs(exact) >= 1 << 15) | (np.arange(512) == 0)[:, None])
    np.testing.assert_array_equal(np.asarray(fixed)[~is_far], exact[~is_far])
    joined = np.asarray(take(parts, jnp.arange(40)))
    assert np.all(np.abs(joined - values) <= 2.0**-15)
    assert scale > 100 or np.mean((joined - values)[:, 1:] ** 2) ** 0.5 < 2.0**-16
    np.testing.assert_array_equal(joined.T[is_far], np.asarray(far)[is_far])
    np.testing.assert_array_equal(parts.first, values[:, 0])
    np.testing.assert_array_equal(take(parts, jnp.array([3, 3, 30])), joined[[3, 3, 30]])
    assert np.any(fine) or scale > 1e6


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_transform_leaves_parts(scale: float) -> None:
    rng = np.random.default_rng(1)
    shape = (8, 16, 24)
    matrices = [rng.normal(size=(side, side)) * (scale / side) ** 0.5 for side in shape]
    matrices = [jnp.asarray(matrix, jnp.float32) for matrix in matrices]
    volume = jnp.asarray(rng.normal(size=shape), jnp.float32)
    rule = group_separable.EnergyRule(1.5, 0.25)
    options = {"limits": None, "rule": rule, "interpret": True}
    parts, energies = jax.jit(partial(group_separable.forward_to, SPLIT_MEMORY, **options))(
        volume, matrices=matrices
    )
    values, expected = jax.jit(partial(group_separable.forward, **options))(volume, matrices=matrices)
    np.testing.assert_array_equal(energies, expected)
    wanted = split_coefficients(values)
    is_far = np.asarray(wanted.fixed) == -(1 << 15)
    for part, of_values in zip(parts[:2], wanted[:2], strict=True):
        np.testing.assert_array_equal(part, of_values)
    np.testing.assert_array_equal(np.asarray(parts[2])[is_far], np.asarray(wanted.far)[is_far])
    assert np.sum(is_far) > values.shape[0] or scale == 1
