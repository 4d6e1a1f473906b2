"""Tables that code the integers of a stream: of its profile, or of all profiles for a batch of streams."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.entropy import frequency_tables


class CodingTables(NamedTuple):
    """Tables of one profile or of all.

    Attributes:
        tables: that coefficients share, one profile after the other.
        first_row: int32 (1,), row of the first table of the stream's profile.
    """

    tables: frequency_tables.Tables
    first_row: jax.Array


@jax.custom_batching.custom_vmap
def take_coding_tables(frequencies: jax.Array, index: jax.Array) -> CodingTables:
    """Prepare the tables of a profile: within ``jax.vmap`` those of all profiles, once for the whole batch.

    Args:
        frequencies: uint16 (profiles, Q·R, 64), from ``profiles.shared_frequencies``.
        index: int32, of the profile.
    """
    return CodingTables(frequency_tables.make_tables(frequencies[index]), jnp.zeros(1, jnp.int32))


@take_coding_tables.def_vmap
def _(
    axis_size: int, in_batched: list[bool], frequencies: jax.Array, index: jax.Array
) -> tuple[CodingTables, Any]:
    n_profiles, n_rows = frequencies.shape[-3:-1]
    if in_batched[0] or axis_size < n_profiles:
        axes = tuple(0 if is_batched else None for is_batched in in_batched)
        taken = jax.vmap(take_coding_tables.fun, axes, axis_size=axis_size)(frequencies, index)
        return taken, jax.tree.map(lambda _: True, taken)
    tables = frequency_tables.make_tables(frequencies.reshape(n_profiles * n_rows, -1))
    taken = CodingTables(tables, index[..., None] * n_rows)
    return taken, jax.tree.map(lambda _: False, taken)._replace(first_row=in_batched[1])
