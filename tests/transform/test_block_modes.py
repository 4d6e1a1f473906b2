import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3, grid_shape
from nvc_jax.transform import block_layout, block_modes, lapped, lapped_filter, partial_blocks
from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS

EXTENTS = st.tuples(*[st.integers(1, 40)] * 3)
GRID = (5, 5, 5)


forward, inverse = jax.jit(lapped.forward), jax.jit(lapped.inverse)
stretch, unstretch = jax.jit(partial_blocks.stretch), jax.jit(partial_blocks.unstretch)
make_layout = jax.jit(block_layout.make_layout, static_argnums=0)
make_plan = jax.jit(block_modes.make_plan, static_argnums=1)
frequencies_by_partial_type = jax.jit(partial_blocks.frequencies_by_partial_type)


def layout_for(valid_shape: Shape3) -> block_layout.BlockLayout:
    return make_layout(GRID, jnp.array(valid_shape, jnp.int32))


@given(EXTENTS)
def test_layouts_list_the_blocks_that_there_are(valid_shape: Shape3) -> None:
    layout = layout_for(valid_shape)
    present = np.ones(GRID, bool)
    for axis, side in enumerate(valid_shape):
        index = np.arange(GRID[axis]) * BLOCK_SIZE < side
        present &= np.expand_dims(index, [i for i in range(3) if i != axis])
    expected = np.flatnonzero(present)
    assert int(layout.n_blocks) == len(expected)
    np.testing.assert_array_equal(layout.order[: len(expected)], expected)
    np.testing.assert_array_equal(np.sort(layout.order), np.arange(125))
    leaders = [i for i in expected if all(j % 2 == 0 for j in np.unravel_index(i, GRID))]
    np.testing.assert_array_equal(expected[np.asarray(layout.starts_superblock)[expected]], leaders)


@given(EXTENTS)
def test_blocks_have_as_many_latents_as_voxels(valid_shape: Shape3) -> None:
    layout = layout_for(valid_shape)
    has = np.asarray(frequencies_by_partial_type(layout.valid_shape)).sum(axis=1)
    present = np.asarray(layout.order)[: int(layout.n_blocks)]
    assert has[np.asarray(layout.partial_type)[present]].sum() == np.prod(valid_shape)


@given(EXTENTS, st.integers(0, 2**32 - 1))
def test_short_blocks_stretch_and_shrink_back(valid_shape: Shape3, seed: int) -> None:
    rng = np.random.default_rng(seed)
    volume = rng.standard_normal((40, 40, 40)).astype(np.float32)
    count = jnp.array(valid_shape, jnp.int32)
    stretched = stretch(jnp.asarray(volume), count)
    inside = tuple(slice(0, side) for side in valid_shape)
    back = np.asarray(unstretch(stretched, count))
    np.testing.assert_allclose(back[inside], volume[inside], atol=1e-5)
    # What lies beyond the valid_shape leaves no trace in the blocks that there are.
    volume[inside] += 1000
    beyond = unstretch(stretch(jnp.asarray(volume - 1000), count), count)
    np.testing.assert_allclose(np.asarray(beyond)[inside], back[inside], atol=1e-3)


@pytest.mark.parametrize("valid_shape", [(9, 17, 40), (33, 8, 12), (1, 1, 1)])
def test_latents_that_a_short_block_lacks_are_zero_and_errors_weigh_alike(valid_shape: Shape3) -> None:
    layout, rng = layout_for(valid_shape), np.random.default_rng(0)
    plan = make_plan(jnp.ones((3, 3, 3), jnp.int32), GRID, layout.valid_shape)
    volume = stretch(jnp.asarray(rng.standard_normal((40,) * 3), jnp.float32), layout.valid_shape)
    present = np.asarray(layout.order)[: int(layout.n_blocks)]
    has = np.asarray(frequencies_by_partial_type(layout.valid_shape))[np.asarray(layout.partial_type)]
    for index in range(len(lapped_filter.FILTERS)):
        latents = np.asarray(forward(volume, plan, jnp.int32(index)))
        assert np.abs(latents[present][~has[present]]).max(initial=0) < 1e-4
        noise = np.where(has, rng.standard_normal(latents.shape), 0)[:, 1:]
        changed = latents.copy()
        changed[:, 1:] += (noise / np.asarray(partial_blocks.error_scale(layout))[:, None]).astype(np.float32)
        decoded = unstretch(inverse(jnp.asarray(changed), plan, jnp.int32(index)), layout.valid_shape)
        exact = unstretch(inverse(jnp.asarray(latents), plan, jnp.int32(index)), layout.valid_shape)
        inside = tuple(slice(0, side) for side in valid_shape)
        error = float((np.asarray(decoded - exact)[inside] ** 2).sum())
        assert error == pytest.approx(float((noise[present] ** 2).sum()), rel=0.1)


@given(EXTENTS, st.integers(0, 2**32 - 1))
def test_plans_cross_borders_only_between_alike_full_blocks(valid_shape: Shape3, seed: int) -> None:
    modes = np.random.default_rng(seed).integers(0, block_modes.N_MODES, (3, 3, 3))
    count = jnp.array(valid_shape, jnp.int32)
    plan = make_plan(jnp.asarray(modes, jnp.int32), GRID, count)
    whole = np.asarray(block_modes.is_complete(GRID, count))
    for axis in range(3):
        for place in np.argwhere(np.asarray(plan.crossed[axis])):
            beside = place + (np.arange(3) == axis)
            assert (np.minimum((beside[axis] + 1) * BLOCK_SIZE, 40) <= valid_shape[axis]).all()
            here, there = (tuple(at // 2) for at in (place, beside))
            kinds = [
                (modes[r] != block_modes.PLAIN, modes[r] == block_modes.LARGE and whole[r])
                for r in (here, there)
            ]
            assert kinds[0] == kinds[1]
            assert kinds[0][0]
            assert here != there or not kinds[0][1]


def test_regions_add_up_and_spread() -> None:
    blocks = np.random.default_rng(0).random((5, 4, 3)).astype(np.float32)
    sums = np.asarray(block_modes.sum_over_superblocks(jnp.asarray(blocks)))
    assert sums.shape == block_modes.superblock_grid((5, 4, 3)) == (3, 2, 2)
    assert sums[2, 1, 1] == pytest.approx(blocks[4:, 2:4, 2:].sum(), rel=1e-5)
    expand_to_blocks = np.asarray(block_modes.expand_to_blocks(jnp.asarray(sums), (5, 4, 3)))
    assert expand_to_blocks.shape == blocks.shape
    assert expand_to_blocks[4, 3, 2] == sums[2, 1, 1]


def test_every_way_has_a_number() -> None:
    numbers = [
        int(block_modes.filter_mode_index(jnp.int32(f), jnp.int32(m)))
        for f in range(len(lapped_filter.FILTERS))
        for m in range(block_modes.N_MODES)
    ]
    assert sorted(numbers) == list(range(block_modes.N_FILTER_MODES))
    assert grid_shape((16, 16, 16), BLOCK_SIZE) == (2, 2, 2)
    assert N_COEFFICIENTS == BLOCK_SIZE**3
