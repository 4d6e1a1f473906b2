import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nvc_jax.core.parameters import check_params, merge_params


def test_modules_are_bound_to_parameters_and_the_abstract_module_stays() -> None:
    abstract = nnx.split(nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0))))
    for scale in (1.0, 2.0):
        params = {"kernel": scale * jnp.ones((2, 3)), "bias": jnp.zeros(3)}
        module = merge_params(abstract, params)
        np.testing.assert_allclose(module(jnp.ones((1, 2))), np.full((1, 3), 2 * scale))
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(abstract[1]))


ABSTRACT = {
    "a": {"kernel": jax.ShapeDtypeStruct((2, 3), jnp.float32)},
    "b": jax.ShapeDtypeStruct((4,), jnp.int32),
}
FITTING = {"a": {"kernel": np.zeros((2, 3), np.float16)}, "b": np.zeros(4, np.int32)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c": np.zeros(1)}, "other names"),
        ({"a": np.zeros((2, 3))}, "other names"),
        ({"b": None}, "other names"),
        ({"b": np.zeros(5, np.int32)}, r"the parameter \['b'\] is int32 \(5,\), not int32 \(4,\)"),
        ({"b": np.zeros(4, np.int64)}, r"the parameter \['b'\] is int64 \(4,\), not int32 \(4,\)"),
        ({"b": "text"}, r"the parameter \['b'\] is None"),
        ({"a": {"kernel": np.zeros((2, 3), np.int32)}}, r"\['kernel'\] is int32 \(2, 3\), not float32"),
    ],
)
def test_other_parameters_are_named(changes: dict, message: str) -> None:
    check_params(FITTING, ABSTRACT)
    with pytest.raises(ValueError, match=message):
        check_params(FITTING | changes, ABSTRACT)
