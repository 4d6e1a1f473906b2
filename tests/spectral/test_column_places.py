import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.spectral.column_places import PlacedColumns, column_sides

SHAPE = (8, 40, 48)


@pytest.mark.parametrize("axis", range(3))
def test_columns_are_taken_from_their_places_and_scaled(axis: int) -> None:
    volume = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    starts = np.array([[0, 0, 0], [0, 9, 21]], np.int32)
    starts[:, axis] = 0
    limits = jnp.float32(0), jnp.float32(volume.size - 1)
    valid = jnp.array((7, 40, 30), jnp.int32)
    drawn = jnp.array([[0, 0], [1, 0]], jnp.int32)
    columns = PlacedColumns(jnp.asarray(volume), limits, valid, jnp.asarray(starts), drawn, axis, row=1)
    np.testing.assert_array_equal(columns.starts, starts[::-1])
    taken = np.asarray(jax.jit(PlacedColumns.take)(columns))
    assert taken.shape == columns.shape
    sides = column_sides(SHAPE, axis)
    for of_column, start, valid_shape in zip(taken, starts[::-1], columns.valid_shapes, strict=True):
        part = volume[tuple(slice(a, a + n) for a, n in zip(start, sides, strict=True))]
        expected = np.moveaxis(part, axis, 0) / (volume.size - 1) - 0.5
        np.testing.assert_allclose(of_column, expected, rtol=0, atol=1e-6)
        in_volume = np.minimum(np.array((7, 40, 30)) - start, sides)
        np.testing.assert_array_equal(valid_shape, np.maximum(in_volume, 1)[np.array(columns.axes)])


def test_scaled_columns_are_taken_as_they_are() -> None:
    volume = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    valid, corners = jnp.array(SHAPE, jnp.int32), jnp.array([[0, 0, 32]], jnp.int32)
    columns = PlacedColumns(jnp.asarray(volume), None, valid, corners, jnp.zeros((1, 1), jnp.int32), 1)
    np.testing.assert_array_equal(columns.take()[0], volume[:, :, 32:].transpose(1, 0, 2))
