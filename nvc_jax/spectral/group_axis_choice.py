"""Kernels of GPUs that choose the transform of an axis; ``axis_decision`` has their specification.

Three follow each other: costs with all filters, costs with all lengths, and the choice. Each finds out by
itself what is best so far.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.group_kernels import load_where, run_tiles
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.spectral.group_line_costs import (
    WARPS,
    Table,
    costs_of_transforms,
    find_cheapest,
    transform_indices,
)


class _Costs(NamedTuple):
    """All that the choice depends on, in memory.

    Attributes:
        by_filter: float32 (filters, n), from ``costs_of_transforms``.
        by_length: float32 (lengths, n), from ``costs_of_transforms``.
        of_dc: float32 (lengths, lengths, lengths), of DC.
        largest_means: float32 (lengths,), of segments.
        step: float32 (1,), of one quantiser, in the volume's units.
    """

    by_filter: Any
    by_length: Any
    of_dc: Any
    largest_means: Any
    step: Any


def choose(
    lines: tuple[jax.Array, jax.Array, jax.Array],
    table: tuple[jax.Array, jax.Array],
    axis_of_table: jax.Array,
    before: jax.Array,
    axis: jax.Array,
    of_dc: jax.Array,
    largest_means: jax.Array,
    step: jax.Array,
    *,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Choose the transform of an axis; arguments and results are those of ``choose_reference``."""
    axis_of_table, axis, step = (jnp.reshape(number, 1) for number in (axis_of_table, axis, step))
    of_table = Table(*table, axis_of_table, step)
    by_filter = costs_of_transforms(*lines, of_table, interpret=interpret)
    by_length = costs_of_transforms(*lines, of_table, by_filter, interpret=interpret)
    choice, cost = run_tiles(
        _choose,
        (1,),
        [jax.ShapeDtypeStruct(before.shape, jnp.int32), jax.ShapeDtypeStruct((1,), jnp.float32)],
        *(_Costs(by_filter, by_length, of_dc, largest_means, step), before, axis),
        n_warps=WARPS,
        interpret=interpret,
    )
    return choice, cost[0]


def _choose(costs: _Costs, before: Any, axis: Any, choice: Any, cost: Any) -> None:
    """Choose the transform of one axis."""
    length = transform_indices(costs.by_length.shape[0])
    exists = length < costs.by_length.shape[0]
    place = [jnp.where(axis[0] == other, length, before[0, other]) for other in range(3)]
    means = load_where(costs.largest_means, (length,), exists)
    more = jnp.where(
        means > MAX_MAGNITUDE * costs.step[0], np.float32(np.inf), load_where(costs.of_dc, place, exists)
    )
    cost[0], best_length = find_cheapest(costs.by_length, more)
    best = (best_length, find_cheapest(costs.by_filter)[1])
    for kind in range(2):
        for other in range(3):
            choice[kind, other] = jnp.where(axis[0] == other, best[kind], before[kind, other])
