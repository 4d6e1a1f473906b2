"""Numbers looked up within kernels of TPUs, which cannot read memory at places that differ between lanes.

What a lane looks up is a row of its own column: the kernel goes through the rows and selects. What all lanes
look up in one table is a product of the table and of a matrix of zeros and a one in each column.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

ROWS, LANES = 8, 128
"""Rows and lanes of a register of a TPU."""
_LOW_BITS = 6
"""Bits of the lower part of a number of a table: bfloat16 holds it, and the rest, exactly."""
_LARGEST_WHOLE = 1 << 8
"""Largest integer up to which bfloat16 holds all."""
MAX_NUMBER = (_LARGEST_WHOLE << _LOW_BITS) - 1
"""Largest number of a table."""


def select_rows(memory: Any, rows: list[jax.Array], first: jax.Array, count: jax.Array) -> list[jax.Array]:
    """Read a row of each lane's column.

    Args:
        memory: reference to int32 (rows, lanes), rows a multiple of ROWS.
        rows: int32 (1, lanes) each: for each result the row of each lane. A lane whose row is not among those
            that are looked at gets 0.
        first: int32, a multiple of ROWS, row from which on they are looked at, up to the last and then on
            from row 0.
        count: int32, number of rows that are looked at, rounded up to a multiple of ROWS, at most all.

    Returns:
        int32 (1, lanes) for each of ``rows``.
    """
    n_rows, n_lanes = memory.shape
    from_0 = lax.broadcasted_iota(jnp.int32, (ROWS, n_lanes), 0)

    def look(tile: jax.Array, found: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        begin = lax.rem(first + tile * ROWS, n_rows)
        numbers = memory[_slice(begin), :]
        here = from_0 + begin
        return tuple(
            so_far + jnp.where(here == row, numbers, 0) for so_far, row in zip(found, rows, strict=True)
        )

    start = tuple(jnp.zeros((ROWS, n_lanes), jnp.int32) for _ in rows)
    found = lax.fori_loop(0, lax.div(count + ROWS - 1, ROWS), look, start)
    return [jnp.sum(numbers, axis=0, keepdims=True, dtype=jnp.int32) for numbers in found]


def _slice(begin: jax.Array) -> Any:
    from jax.experimental import pallas

    return pallas.ds(pallas.multiple_of(begin, ROWS), ROWS)


def split_table(table: jax.Array, largest: int) -> jax.Array:
    """Prepare a table for ``look_up``: its numbers in one part or two, each of which bfloat16 holds exactly.

    Args:
        table: integers (m, n), from 0 up to ``largest``.
        largest: at most MAX_NUMBER; static.

    Returns:
        bfloat16 (m, n) or (2·m, n).
    """
    table = table.astype(jnp.int32)
    if largest <= _LARGEST_WHOLE:
        return table.astype(jnp.bfloat16)
    return jnp.concatenate([table >> _LOW_BITS, table & (1 << _LOW_BITS) - 1]).astype(jnp.bfloat16)


def look_up(table: jax.Array, n_rows: int, column: jax.Array) -> jax.Array:
    """Get a column of a table for each lane.

    Args:
        table: from ``split_table``.
        n_rows: m, of the table.
        column: int32 (1, lanes).

    Returns:
        int32 (m, lanes).
    """
    shape = (table.shape[1], column.shape[1])
    is_here = lax.broadcasted_iota(jnp.int32, shape, 0) == column
    ones = jnp.where(is_here, 1.0, 0.0).astype(jnp.bfloat16)
    parts = jnp.dot(table, ones, preferred_element_type=jnp.float32)
    if len(parts) > n_rows:
        parts = parts[:n_rows] * (1 << _LOW_BITS) + parts[n_rows:]
    return parts.astype(jnp.int32)


def choose_row(rows: jax.Array, row: jax.Array) -> jax.Array:
    """Get an entry of each lane's column of int32 (m, lanes) by its row, int32 (1, lanes)."""
    is_here = lax.broadcasted_iota(jnp.int32, rows.shape, 0) == row
    return jnp.sum(jnp.where(is_here, rows, 0), axis=0, keepdims=True, dtype=jnp.int32)
