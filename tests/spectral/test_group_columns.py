from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.spectral.column_places import PlacedColumns
from nvc_jax.spectral.group_columns import transform_columns
from nvc_jax.spectral.shape_lines import TablePlace, Transforms, transform_reference

by_kernel = jax.jit(partial(transform_columns, interpret=True))
N_COLUMNS = 2


@jax.jit
def by_reference(columns: PlacedColumns, *arguments: Any) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """Get the results of the reference, and the voxels of the columns."""
    return transform_reference(columns, *arguments), columns.take()


def place_columns(length: int, sides: tuple[int, int], axis: int, *, is_scaled: bool) -> PlacedColumns:
    """Place columns of some sides in a volume; sides of 16 are parts of the volume's."""
    rng = np.random.default_rng(0)
    others = [side if side < 16 else 40 for side in sides]
    volume = rng.normal(size=(*others[:axis], length, *others[axis:])).astype(np.float32)
    corners = [0 if side < 16 else 11 for side in sides]
    corners = np.array([[9] * 3, [*corners[:axis], 0, *corners[axis:]], [0] * 3], np.int32)
    # The last column lies in the volume in part.
    valid_shape = np.minimum(volume.shape, corners[1] + 7)
    valid_shape[axis] = length
    of_columns = [jnp.asarray(array, jnp.int32) for array in (valid_shape, corners, [[0, 0], [2, 1]])]
    if is_scaled:
        return PlacedColumns(jnp.asarray(volume), None, *of_columns, axis, row=1)
    limits = jnp.float32(-300), jnp.float32(300)
    return PlacedColumns(jnp.asarray((100 * volume).astype(np.int16)), limits, *of_columns, axis, row=1)


@pytest.mark.parametrize("is_scaled", [False, True])
@pytest.mark.parametrize("sides", [(16, 16), (8, 16), (16, 8)])
@pytest.mark.parametrize("length", [16, 72])
def test_the_kernel_transforms_along_all_axes(length: int, sides: tuple[int, int], is_scaled: bool) -> None:
    rng = np.random.default_rng(0)
    n_axes, n_lengths, n_filters = 3, 2, 2
    choice = np.array([[0, 1, 0], [1, 0, 1]], np.int32)
    tables = [
        Transforms(
            rng.normal(size=(side, n_lengths, n_filters, side, side)).astype(np.float32),
            rng.random((side, n_lengths, side)) < 0.5,
        )
        for side in sides
    ]
    table = Transforms(
        rng.normal(size=(n_axes, n_lengths, n_filters, length, length)).astype(np.float32),
        rng.random((n_axes, n_lengths, length)) < 0.2,
    )
    for axis in range(3):
        columns = place_columns(length, sides, axis, is_scaled=is_scaled)
        valid_shapes = np.asarray(columns.valid_shapes)
        assert columns.shape == (N_COLUMNS, length, *sides)
        assert valid_shapes[1].tolist() == [length, 7, 7]
        others = [other for other in range(3) if other != axis]
        first, second = (
            of_side.analysis[valid_shapes[:, place] - 1, *choice[:, other]]
            for place, (of_side, other) in enumerate(zip(tables, others, strict=True), 1)
        )
        place = TablePlace(jnp.int32(axis), jnp.int32(1))
        arguments = (columns, valid_shapes, tables, choice, jnp.int32(axis), table, place, jnp.float32(0.5))
        arguments = jax.tree.map(jnp.asarray, arguments)
        lines, are_means, costs = by_kernel(*arguments)
        (wanted, wanted_means, wanted_costs), voxels = by_reference(*arguments)
        np.testing.assert_allclose(lines, wanted, rtol=0, atol=2e-4)
        np.testing.assert_array_equal(are_means, wanted_means)
        np.testing.assert_allclose(costs, wanted_costs, rtol=1e-5)
        expected = np.einsum("niy,njx,nsyx->nijs", first, second, voxels)
        np.testing.assert_allclose(lines, expected.reshape(-1, length), rtol=0, atol=2e-4)


@pytest.mark.parametrize("is_scaled", [False, True])
@pytest.mark.parametrize("axis", range(3))
def test_the_kernel_reads_the_voxels_that_the_reference_takes(axis: int, is_scaled: bool) -> None:
    columns = place_columns(72, (16, 8), axis, is_scaled=is_scaled)
    tables = [
        Transforms(
            jnp.tile(jnp.eye(side, dtype=jnp.float32), (side, 1, 1, 1, 1)), jnp.ones((side, 1, side), bool)
        )
        for side in (16, 8)
    ]
    table = Transforms(jnp.zeros((1, 1, 1, 72, 72), jnp.float32), jnp.zeros((1, 1, 72), bool))
    lines, _, _ = by_kernel(
        *(columns, columns.valid_shapes, tables, jnp.zeros((2, 3), jnp.int32)),
        *(jnp.int32(axis), table, TablePlace(jnp.int32(0), jnp.int32(0)), jnp.float32(1)),
    )
    wanted = np.asarray(jax.jit(PlacedColumns.take)(columns)).transpose(0, 2, 3, 1).reshape(-1, 72)
    np.testing.assert_array_equal(np.asarray(lines), wanted)
