import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.native import rows

ARRAYS = {
    "numbers": jnp.arange(24, dtype=jnp.float32).reshape(4, 2, 3),
    "marks": jnp.array([True, False, False, True]),
    "tables": jnp.arange(20, dtype=jnp.uint16).reshape(4, 5),
}
"""Arrays of four rows."""

take_rows, take_rows_reference = jax.jit(rows.take_rows), jax.jit(rows.take_rows_reference)


@pytest.mark.parametrize("index", range(-6, 7))
def test_the_kernel_equals_the_reference(index: int) -> None:
    """Negative indices count from the end, and the nearest row stands for those that there are not."""
    taken = take_rows(ARRAYS, jnp.int32(index))
    expected = take_rows_reference(ARRAYS, jnp.int32(index))
    for name, row in taken.items():
        np.testing.assert_array_equal(row, expected[name])
        assert (row.shape, row.dtype) == (expected[name].shape, expected[name].dtype)


def test_batches_take_a_row_for_each_index() -> None:
    taken = jax.jit(jax.vmap(rows.take_rows, (None, 0)))(ARRAYS, jnp.array([3, 1], jnp.int32))
    np.testing.assert_array_equal(taken["tables"], ARRAYS["tables"][jnp.array([3, 1])])
