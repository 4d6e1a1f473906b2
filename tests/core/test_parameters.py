import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nvc_jax.core.parameters import merge_params


def test_modules_are_bound_to_parameters_and_the_abstract_module_stays() -> None:
    abstract = nnx.split(nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0))))
    for scale in (1.0, 2.0):
        params = {"kernel": scale * jnp.ones((2, 3)), "bias": jnp.zeros(3)}
        module = merge_params(abstract, params)
        np.testing.assert_allclose(module(jnp.ones((1, 2))), np.full((1, 3), 2 * scale))
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(abstract[1]))
