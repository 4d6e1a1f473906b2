import jax
import jax.numpy as jnp
import numpy as np
import optax

from nvc_jax.training.optimizer import update_params


def test_a_step_follows_the_gradients_under_strict_promotion() -> None:
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.float32(3)}
    gradients = {"a": jnp.array([0.5, -0.5]), "b": jnp.float32(0)}
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.1, 1, 10)
    optimizer = optax.adam(schedule)
    state = optimizer.init(params)
    assert jax.config.jax_numpy_dtype_promotion == "strict"
    for _ in range(2):  # the first step of the warm-up has a learning rate of 0
        params, state = update_params(optimizer, gradients, state, params)
    np.testing.assert_allclose(params["a"], [0.9, -1.9], atol=1e-5)
    assert params["b"] == 3
