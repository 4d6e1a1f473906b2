import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.compiler_options import jit_on_one_core, on_one_core

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="the options are for CPUs")


def add_up(values: jax.Array) -> jax.Array:
    """Operations that XLA would share out: of each element, and a sum of many."""
    return jnp.sum(jnp.sin(values) * 2, axis=1)


def test_no_operation_is_shared_out_to_other_threads() -> None:
    values = jnp.zeros((64, 1 << 14))
    compiled = jax.jit(add_up, compiler_options=on_one_core()).lower(values).compile().as_text() or ""
    assert "fusion" in compiled
    assert '"outer_dimension_partitions":["' not in compiled
    assert "ynn_fusion" not in compiled


def test_functions_are_compiled_once_and_keep_their_names() -> None:
    traced = []

    @jit_on_one_core
    def double(values: jax.Array) -> jax.Array:
        traced.append(values.shape)
        return 2 * values

    assert double.__name__ == "double"
    for start in range(3):
        np.testing.assert_array_equal(double(jnp.arange(start, start + 4)), 2 * np.arange(start, start + 4))
    assert traced == [(4,)]
