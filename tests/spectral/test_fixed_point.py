import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.spectral.fixed_point import to_fixed, to_fixed_by_floor


def test_values_become_integers_with_their_signs() -> None:
    values = jnp.asarray([0.0, -0.0, 1.0, -1.5, 1 / 256, 3 / 256, 1e30, -1e30], jnp.float32)
    assert to_fixed(values).tolist() == [0, 0, 128, -192, 0, 2, 1 << 30, -(1 << 30)]


def test_kernels_round_as_the_specification_does() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(2000) * 2.0 ** rng.integers(-20, 40, 2000)
    halves = (np.arange(-300, 300) + 0.5) / 128
    near = np.nextafter(np.concatenate([halves, halves]).astype(np.float32), np.repeat([-9, 9], 600))
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 2.0**23, 2.0**23 - 0.5, 2.0**16 - 2.0**-8]
    values = jnp.asarray(np.concatenate([values, halves, near, special]), jnp.float32)
    np.testing.assert_array_equal(jax.jit(to_fixed_by_floor)(values), jax.jit(to_fixed)(values))
