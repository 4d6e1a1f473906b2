"""Passes: integers whose tables are all known before the first of them is coded.

A volume is coded in passes. The tables of a pass may depend on the integers of all passes before it, but not
on those of the pass itself. So all lanes of the entropy coder work on one pass side by side: at each step
every lane codes one item, and neighbouring lanes take neighbouring items.

rANS decodes in the reverse order of encoding. The encoder therefore pushes the passes from the last to the
first; it knows all integers, and with them all tables.
"""

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import common_bound, varying_like
from nvc_jax.entropy import rans
from nvc_jax.entropy.frequency_tables import Tables


def push_pass(
    coder: rans.Coder,
    tables: Tables,
    rows: jax.Array,
    values: jax.Array,
    count: jax.Array | int,
    n_lanes: jax.Array,
) -> rans.Coder:
    """Encode the items of a pass.

    Args:
        coder: state of encoding, after all later passes.
        tables: the frequency tables.
        rows: int32 (n,), each item's row of the tables.
        values: int32 (n,), the items; magnitudes of at most ``tokens.MAX_MAGNITUDE``.
        count: int32, number of items that are coded: the first ones.
        n_lanes: int32, lanes of the stream, at most those of ``coder``.
    """
    n_steps = -(-count // n_lanes)

    def push(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
        item, active = items_at(n_steps - 1 - backwards, count, n_lanes, len(coder.states))
        return rans.push(coder, tables, _take(rows, item), _take(values, item), active)

    return lax.fori_loop(0, common_bound(n_steps), push, varying_like(values, coder))


def pop_pass(
    coder: rans.Coder, tables: Tables, rows: jax.Array, count: jax.Array | int, n_lanes: jax.Array
) -> tuple[rans.Coder, jax.Array]:
    """Decode the items of a pass; the inverse of ``push_pass``.

    Returns:
        The state, and int32 (n,), 0 for items that are not coded.
    """
    n, n_steps = len(rows), -(-count // n_lanes)

    def pop(step: jax.Array, carry: tuple) -> tuple:
        coder, values = carry
        item, active = items_at(step, count, n_lanes, len(coder.states))
        coder, value = rans.pop(coder, tables, _take(rows, item), active)
        return coder, values.at[jnp.where(active, item, n)].set(value, mode="drop")

    start = varying_like(coder.states, (coder, jnp.zeros(n, jnp.int32)))
    return lax.fori_loop(0, common_bound(n_steps), pop, start)


def items_at(
    step: jax.Array, count: jax.Array | int, n_lanes: jax.Array, max_lanes: int
) -> tuple[jax.Array, jax.Array]:
    """Index of each lane's item at a step, int32 (lanes,), and whether the lane has that item, bool.

    Before step 0, where loops of a batch may run, no lane has one.
    """
    lane = jnp.arange(max_lanes, dtype=jnp.int32)
    item = step * n_lanes + lane
    return item, (step >= 0) & (lane < n_lanes) & (item < count)


def _take(items: jax.Array, index: jax.Array) -> jax.Array:
    """Get items by their indices; those of idle lanes may be any."""
    return items.at[index].get(mode="clip")
