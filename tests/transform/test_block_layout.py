import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform import block_layout
from nvc_jax.transform.planar_blocks import BLOCK_SIZE

GRID = (5, 5, 5)

make_layout = jax.jit(block_layout.make_layout, static_argnums=0)


@given(st.tuples(*[st.integers(1, 40)] * 3))
def test_layouts_list_the_blocks_inside_the_volume(valid_shape: Shape3) -> None:
    layout = make_layout(GRID, jnp.array(valid_shape, jnp.int32))
    inside, partial_type = np.ones(GRID, bool), np.zeros(GRID, int)
    for axis, side in enumerate(valid_shape):
        index = np.expand_dims(np.arange(GRID[axis]), [i for i in range(3) if i != axis])
        inside &= index * BLOCK_SIZE < side
        partial_type += ((index + 1) * BLOCK_SIZE > side) * (4, 2, 1)[axis]
    expected = np.flatnonzero(inside)
    np.testing.assert_array_equal(layout.inside, inside.reshape(-1))
    np.testing.assert_array_equal(
        np.asarray(layout.partial_type)[expected], partial_type.reshape(-1)[expected]
    )
    assert int(layout.n_blocks) == len(expected)
    np.testing.assert_array_equal(layout.order[: len(expected)], expected)
    np.testing.assert_array_equal(np.sort(layout.order), np.arange(125))
    first_blocks = [i for i in expected if all(j % 2 == 0 for j in np.unravel_index(i, GRID))]
    np.testing.assert_array_equal(expected[np.asarray(layout.starts_superblock)[expected]], first_blocks)
