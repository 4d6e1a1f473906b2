import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.shapes import Shape3
from nvc_jax.spectral import shape_columns
from nvc_jax.transform.separable import Original

draw_columns = jax.jit(shape_columns.draw_columns)
draw_columns_by_rows = jax.jit(shape_columns.draw_columns_by_rows)
SHAPE = (32, 48, 64)


def index_volume() -> np.ndarray:
    """A volume whose voxels are their positions."""
    return np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)


def draw(valid_shape: Shape3) -> list[shape_columns.Columns]:
    return draw_columns(jnp.asarray(index_volume()), jnp.float32(0.5), jnp.array(valid_shape, jnp.int32))


@pytest.mark.parametrize("axis", range(3))
def test_a_column_is_a_part_of_the_volume_with_the_whole_length_of_its_axis(axis: int) -> None:
    columns = draw(SHAPE)[axis]
    for voxels, valid_shape in zip(np.asarray(columns.voxels), np.asarray(columns.valid_shapes), strict=True):
        part = np.moveaxis(voxels, 0, axis)
        start = np.unravel_index(int(part.flat[0]), SHAPE)
        expected = index_volume()[tuple(slice(a, a + n) for a, n in zip(start, part.shape, strict=True))]
        np.testing.assert_array_equal(part, expected)
        assert len(voxels) == SHAPE[axis]
        assert tuple(valid_shape) == voxels.shape


def test_weights_stand_for_all_columns() -> None:
    columns = draw(SHAPE)[0]
    n_columns = SHAPE[1] * SHAPE[2] // np.prod(columns.voxels.shape[2:])
    assert float(columns.weights.sum()) == pytest.approx(n_columns, rel=0.2)


def test_columns_of_all_axes_are_padded_to_one_shape_without_weight() -> None:
    columns = draw(SHAPE)
    padded = shape_columns.pad_alike(columns)
    assert len({one.voxels.shape for one in padded}) == 1
    for before, after in zip(columns, padded, strict=True):
        n, *sides = before.voxels.shape
        np.testing.assert_array_equal(
            np.asarray(after.voxels)[(slice(n), *map(slice, sides))], np.asarray(before.voxels)
        )
        assert float(after.weights.sum()) == float(before.weights.sum())


@pytest.mark.parametrize("has_original", [False, True])
def test_columns_may_be_drawn_by_some_rows_and_taken_from_the_original(has_original: bool) -> None:
    original = Original(jnp.asarray(index_volume()), jnp.float32(0), jnp.float32(np.prod(SHAPE) - 1))
    centered = jax.jit(Original.padded)(original)
    valid = jnp.array(SHAPE, jnp.int32)
    columns = draw_columns_by_rows(centered, jnp.float32(1e-6), valid, original if has_original else None)
    for axis, wanted in enumerate(draw_columns(centered, jnp.float32(1e-6), valid)):
        taken = columns[axis].voxels.take()
        assert taken.shape == wanted.voxels.shape
        places = np.rint((np.asarray(taken) + 0.5) * (np.prod(SHAPE) - 1)).astype(np.int64)
        for of_column in places:
            part = np.moveaxis(of_column, 0, axis)
            start = np.unravel_index(part.flat[0], SHAPE)
            expected = index_volume()[tuple(slice(a, a + n) for a, n in zip(start, part.shape, strict=True))]
            np.testing.assert_array_equal(part, expected)


def test_some_rows_tell_where_a_volume_is_active() -> None:
    volume = np.zeros(SHAPE, np.float32)
    volume[:, :16] = np.random.default_rng(0).uniform(-0.5, 0.5, (32, 16, 64))
    valid = jnp.array(SHAPE, jnp.int32)
    by_rows = draw_columns_by_rows(jnp.asarray(volume), jnp.float32(0.01), valid, None)[2]
    by_rows = by_rows._replace(voxels=by_rows.voxels.take())
    for of_x in (by_rows, draw_columns(jnp.asarray(volume), jnp.float32(0.01), valid)[2]):
        are_active = np.asarray(of_x.voxels).any(axis=(1, 2, 3))
        assert are_active.sum() > len(are_active) / 2
        assert float(of_x.weights[are_active].sum()) == pytest.approx(2, rel=0.3)  # of the six columns
