import jax.numpy as jnp

from nvc_jax.spectral.fixed_point import to_fixed


def test_values_become_integers_with_their_signs() -> None:
    values = jnp.asarray([0.0, -0.0, 1.0, -1.5, 1 / 256, 3 / 256, 1e30, -1e30], jnp.float32)
    assert to_fixed(values).tolist() == [0, 0, 128, -192, 0, 2, 1 << 30, -(1 << 30)]
