"""Plan of a transform: which block borders the filter crosses, and which blocks are halves of large ones."""

from typing import NamedTuple

import jax


class TransformPlan(NamedTuple):
    """How the blocks of a grid (z, y, x) are transformed; every leaf is bool with the grid's axes last.

    Attributes:
        crossed: (3, z, y, x), the filter crosses the border to the next block along each axis.
        before: (3, z, y, x), the filter crosses the border before the block, or before the large one that the
            block is half of.
        after: (3, z, y, x), it crosses the border after it.
        first: (3, z, y, x), the block is the first half of a large one along each axis.
        second: (3, z, y, x), the block is the second half of a large one along each axis.
    """

    crossed: jax.Array
    before: jax.Array
    after: jax.Array
    first: jax.Array
    second: jax.Array


def flatten_plan(plan: TransformPlan) -> TransformPlan:
    return TransformPlan(*(leaf.reshape(*leaf.shape[:-3], -1) for leaf in plan))


def block_strides(plan: TransformPlan) -> tuple[int, int, int]:
    """How far apart in a flattened grid neighbours along z, y and x are."""
    _, y, x = plan.crossed.shape[1:]
    return y * x, x, 1
