import jax
import jax.numpy as jnp

from nvc_jax.native.unset_arrays import unset_arrays

DESCRIBED = {"one": jax.ShapeDtypeStruct((3, 2), jnp.float32), "other": jax.ShapeDtypeStruct((), jnp.int32)}


def test_arrays_are_those_that_are_described() -> None:
    made = jax.jit(lambda: unset_arrays(DESCRIBED))()
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in made.items()} == {
        name: (leaf.shape, leaf.dtype) for name, leaf in DESCRIBED.items()
    }


def test_a_branch_without_results_returns_them() -> None:
    chosen = jax.jit(
        lambda limit: jax.lax.cond(
            limit > 0, lambda: unset_arrays({"one": jnp.float32(0)}), lambda: {"one": limit}
        )
    )
    assert float(chosen(jnp.float32(-2))["one"]) == -2
