import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform import block_modes, lapped_filter
from nvc_jax.transform.planar_blocks import BLOCK_SIZE

VALID_SHAPES = st.tuples(*[st.integers(1, 40)] * 3)
GRID = (5, 5, 5)

make_plan = jax.jit(block_modes.make_plan, static_argnums=1)


@given(VALID_SHAPES, st.integers(0, 2**32 - 1))
def test_plans_cross_borders_only_between_alike_full_blocks(valid_shape: Shape3, seed: int) -> None:
    modes = np.random.default_rng(seed).integers(0, block_modes.N_MODES, (3, 3, 3))
    count = jnp.array(valid_shape, jnp.int32)
    plan = make_plan(jnp.asarray(modes, jnp.int32), GRID, count)
    complete = np.asarray(block_modes.is_complete(GRID, count))
    for axis in range(3):
        for block in np.argwhere(np.asarray(plan.crossed[axis])):
            next_block = block + (np.arange(3) == axis)
            assert (np.minimum((next_block[axis] + 1) * BLOCK_SIZE, 40) <= valid_shape[axis]).all()
            superblocks = [tuple(index // 2) for index in (block, next_block)]
            treatments = [
                (modes[s] != block_modes.PLAIN, modes[s] == block_modes.LARGE and complete[s])
                for s in superblocks
            ]
            assert treatments[0] == treatments[1]
            is_lapped, is_large = treatments[0]
            assert is_lapped
            assert superblocks[0] != superblocks[1] or not is_large


@given(VALID_SHAPES, st.integers(0, 2**32 - 1))
def test_plans_say_which_borders_of_a_block_are_crossed(valid_shape: Shape3, seed: int) -> None:
    modes = np.random.default_rng(seed).integers(0, block_modes.N_MODES, (3, 3, 3))
    plan = make_plan(jnp.asarray(modes, jnp.int32), GRID, jnp.array(valid_shape, jnp.int32))
    for axis in range(3):
        crossed, before, after, first, second = (np.moveaxis(leaf[axis], axis, 0) for leaf in plan)
        np.testing.assert_array_equal(second[1:], first[:-1])
        for i in range(GRID[axis]):
            start = np.where(second[i], i - 1, i)
            end = np.where(first[i], i + 1, i)
            crossed_before = np.take_along_axis(crossed, np.maximum(start - 1, 0)[None], 0)[0] & (start > 0)
            np.testing.assert_array_equal(before[i], crossed_before)
            np.testing.assert_array_equal(after[i], np.take_along_axis(crossed, end[None], 0)[0])


def test_uniform_plans_have_one_mode() -> None:
    count = jnp.array([40, 40, 40], jnp.int32)
    for mode in range(block_modes.N_MODES):
        expected = make_plan(jnp.full((3, 3, 3), mode, jnp.int32), GRID, count)
        for leaf, same in zip(block_modes.uniform_plan(mode, GRID, count), expected, strict=True):
            np.testing.assert_array_equal(leaf, same)


def test_values_of_superblocks_are_summed_and_expanded() -> None:
    blocks = np.random.default_rng(0).random((5, 4, 3)).astype(np.float32)
    sums = np.asarray(block_modes.sum_over_superblocks(jnp.asarray(blocks)))
    assert sums.shape == block_modes.superblock_grid((5, 4, 3)) == (3, 2, 2)
    assert sums[2, 1, 1] == pytest.approx(blocks[4:, 2:4, 2:].sum(), rel=1e-5)
    expanded = np.asarray(block_modes.expand_to_blocks(jnp.asarray(sums), (5, 4, 3)))
    assert expanded.shape == blocks.shape
    assert expanded[4, 3, 2] == sums[2, 1, 1]


def test_every_pair_of_filter_and_mode_has_an_index() -> None:
    indices = [
        int(block_modes.filter_mode_index(jnp.int32(f), jnp.int32(m)))
        for f in range(len(lapped_filter.FILTERS))
        for m in range(block_modes.N_MODES)
    ]
    assert sorted(indices) == list(range(block_modes.N_FILTER_MODES))
