from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas

from nvc_jax.core.tile_lookup import MAX_NUMBER, choose_row, look_up, select_rows, split_table

N_ROWS, N_LANES = 64, 128


def draw(seed: int, largest: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, largest + 1, shape).astype(np.int32)


@pytest.mark.parametrize(("first", "count"), [(0, 64), (16, 3), (56, 24), (8, 0)])
def test_rows_between_two_are_selected(first: int, count: int) -> None:
    memory, rows = draw(0, 1 << 30, (N_ROWS, N_LANES)), draw(1, N_ROWS - 1, (2, N_LANES))

    def kernel(memory: Any, rows: Any, found: Any) -> None:
        of_lanes = [rows[index : index + 1, :] for index in range(2)]
        selected = select_rows(memory, of_lanes, jnp.int32(first), jnp.int32(count))
        found[...] = jnp.concatenate(selected)

    result = jax.ShapeDtypeStruct(rows.shape, jnp.int32)
    found = jax.jit(pallas.pallas_call(kernel, result, interpret=True))(memory, rows)
    looked_at = (rows - first) % N_ROWS < -(-count // 8) * 8
    np.testing.assert_array_equal(found, np.where(looked_at, memory[rows, np.arange(N_LANES)], 0))


@pytest.mark.parametrize("largest", [1, 256, 257, MAX_NUMBER])
def test_columns_of_tables_are_exact(largest: int) -> None:
    table, column = draw(2, largest, (16, 40)), draw(3, 39, (1, N_LANES))
    table[0] = largest
    split = jax.jit(split_table, static_argnums=1)(table, largest)
    found = jax.jit(partial(look_up, split, 16))(column)
    np.testing.assert_array_equal(found, table[:, column[0]])


def test_entries_of_columns_are_chosen() -> None:
    rows, row = draw(4, 1 << 30, (16, N_LANES)), draw(5, 15, (1, N_LANES))
    found = jax.jit(choose_row)(rows, row)
    np.testing.assert_array_equal(found, np.take_along_axis(rows, row, axis=0))
