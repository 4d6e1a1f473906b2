import jax
import jax.numpy as jnp
import numpy as np
import optax

from nvc_jax.training.optimizer import update_params


def test_a_step_follows_the_gradients_under_strict_promotion() -> None:
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.float32(3)}
    gradients = {"a": jnp.array([0.5, -0.5]), "b": jnp.float32(0)}
    optimizer = optax.scale_by_adam()
    state = optimizer.init(params)
    assert jax.config.jax_numpy_dtype_promotion == "strict"
    for rate in (0.0, 0.1):
        params, state = update_params(optimizer, gradients, state, params, jnp.float32(rate))
    np.testing.assert_allclose(params["a"], [0.9, -1.9], atol=1e-5)
    assert params["b"] == 3
