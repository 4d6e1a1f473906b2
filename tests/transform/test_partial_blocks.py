import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform import block_layout, block_modes, lapped, lapped_filter, partial_blocks

VALID_SHAPES = st.tuples(*[st.integers(1, 40)] * 3)
GRID = (5, 5, 5)

forward, inverse = jax.jit(lapped.forward), jax.jit(lapped.inverse)
stretch, unstretch = jax.jit(partial_blocks.stretch), jax.jit(partial_blocks.unstretch)
make_layout = jax.jit(block_layout.make_layout, static_argnums=0)
make_plan = jax.jit(block_modes.make_plan, static_argnums=1)
frequencies_by_partial_type = jax.jit(partial_blocks.frequencies_by_partial_type)


def layout_for(valid_shape: Shape3) -> block_layout.BlockLayout:
    return make_layout(GRID, jnp.array(valid_shape, jnp.int32))


def region_of(valid_shape: Shape3) -> tuple[slice, ...]:
    return tuple(slice(0, side) for side in valid_shape)


@given(VALID_SHAPES)
def test_blocks_have_as_many_coefficients_as_voxels(valid_shape: Shape3) -> None:
    layout = layout_for(valid_shape)
    n_coefficients = np.asarray(frequencies_by_partial_type(layout.valid_shape)).sum(axis=1)
    inside = np.asarray(layout.order)[: int(layout.n_blocks)]
    assert n_coefficients[np.asarray(layout.partial_type)[inside]].sum() == np.prod(valid_shape)


@given(VALID_SHAPES)
def test_last_blocks_have_the_voxels_that_full_ones_leave(valid_shape: Shape3) -> None:
    sides = partial_blocks.last_block_sides(jnp.array(valid_shape, jnp.int32))
    for side, length in zip(np.asarray(sides), valid_shape, strict=True):
        assert 1 <= side <= 8
        assert (length - side) % 8 == 0


@given(VALID_SHAPES, st.integers(0, 2**32 - 1))
def test_partial_blocks_stretch_and_shrink_back(valid_shape: Shape3, seed: int) -> None:
    rng = np.random.default_rng(seed)
    volume = rng.standard_normal((40, 40, 40)).astype(np.float32)
    count = jnp.array(valid_shape, jnp.int32)
    stretched = stretch(jnp.asarray(volume), count)
    inside = region_of(valid_shape)
    back = np.asarray(unstretch(stretched, count))
    np.testing.assert_allclose(back[inside], volume[inside], atol=1e-5)
    # Voxels beyond the valid shape leave no trace in the blocks inside.
    volume[inside] += 1000
    beyond = unstretch(stretch(jnp.asarray(volume - 1000), count), count)
    np.testing.assert_allclose(np.asarray(beyond)[inside], back[inside], atol=1e-3)


@pytest.mark.parametrize("valid_shape", [(9, 17, 40), (33, 8, 12), (1, 1, 1)])
def test_coefficients_that_a_partial_block_lacks_are_zero_and_errors_weigh_alike(valid_shape: Shape3) -> None:
    layout, rng = layout_for(valid_shape), np.random.default_rng(0)
    plan = make_plan(jnp.ones((3, 3, 3), jnp.int32), GRID, layout.valid_shape)
    volume = stretch(jnp.asarray(rng.standard_normal((40,) * 3), jnp.float32), layout.valid_shape)
    inside = np.asarray(layout.order)[: int(layout.n_blocks)]
    exists = np.asarray(frequencies_by_partial_type(layout.valid_shape))[np.asarray(layout.partial_type)]
    for index in range(len(lapped_filter.FILTERS)):
        coefficients = np.asarray(forward(volume, plan, jnp.int32(index)))
        assert np.abs(coefficients[inside][~exists[inside]]).max(initial=0) < 1e-4
        noise = np.where(exists, rng.standard_normal(coefficients.shape), 0)[:, 1:]
        changed = coefficients.copy()
        changed[:, 1:] += (noise / np.asarray(partial_blocks.error_scale(layout))[:, None]).astype(np.float32)
        decoded = unstretch(inverse(jnp.asarray(changed), plan, jnp.int32(index)), layout.valid_shape)
        exact = unstretch(inverse(jnp.asarray(coefficients), plan, jnp.int32(index)), layout.valid_shape)
        error = float((np.asarray(decoded - exact)[region_of(valid_shape)] ** 2).sum())
        assert error == pytest.approx(float((noise[inside] ** 2).sum()), rel=0.1)
