import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform import block_layout
from nvc_jax.transform.block_layout import BLOCK_SIZE, from_blocks, to_blocks

GRID = (5, 5, 5)

make_layout = jax.jit(block_layout.make_layout, static_argnums=0)
make_layout_reference = jax.jit(block_layout.make_layout_reference, static_argnums=0)
positions_by_partial_type = jax.jit(block_layout.positions_by_partial_type)
valid_shapes = st.tuples(*[st.integers(1, 40)] * 3)


@given(valid_shapes)
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


@given(valid_shapes)
def test_the_kernel_equals_the_reference(valid_shape: Shape3) -> None:
    shape = jnp.array(valid_shape, jnp.int32)
    expected = make_layout_reference(GRID, shape)
    for made, wanted in zip(make_layout(GRID, shape), expected, strict=True):
        np.testing.assert_array_equal(made, wanted)
        assert (made.shape, made.dtype) == (wanted.shape, wanted.dtype)


@given(valid_shapes)
def test_blocks_have_as_many_coefficients_as_the_volume_has_voxels(valid_shape: Shape3) -> None:
    shape = jnp.array(valid_shape, jnp.int32)
    layout = make_layout(GRID, shape)
    exists = np.asarray(positions_by_partial_type(shape))[np.asarray(layout.partial_type)]
    exists &= np.asarray(layout.inside)[:, None]
    marked = np.zeros(tuple(BLOCK_SIZE * side for side in GRID), bool)
    marked[tuple(map(slice, valid_shape))] = True
    np.testing.assert_array_equal(exists, to_blocks(jnp.asarray(marked)))


def test_blocks_and_the_coefficients_of_each_are_in_order() -> None:
    grid = (2, 3, 4)
    z, y, x = np.indices(tuple(BLOCK_SIZE * side for side in grid), np.int32)
    block = np.ravel_multi_index((z // 8, y // 8, x // 8), grid)
    position = np.ravel_multi_index((z % 8, y % 8, x % 8), (8, 8, 8))
    blocks = to_blocks(jnp.asarray(512 * block + position, jnp.int32))
    np.testing.assert_array_equal(blocks, np.arange(24 * 512).reshape(24, 512))
    np.testing.assert_array_equal(from_blocks(blocks, grid), 512 * block + position)
