"""Plan of a transform: block borders that the filter crosses, and blocks that are halves of large ones."""

from typing import NamedTuple

import jax


class TransformPlan(NamedTuple):
    """Treatment of each block of a grid along each axis.

    Every field is bool (3, z, y, x): an entry for each axis and each block.

    Attributes:
        crossed: the filter crosses the border to the next block.
        crossed_before: the filter crosses the border before the block, or before the large block that it is
            half of.
        crossed_after: the filter crosses the border after the block, or after the large block that it is half
            of.
        first_half: the block is the first half of a large one.
        second_half: the block is the second half of a large one.
    """

    crossed: jax.Array
    crossed_before: jax.Array
    crossed_after: jax.Array
    first_half: jax.Array
    second_half: jax.Array


def flatten_plan(plan: TransformPlan) -> TransformPlan:
    """Reshape every field to (3, n), blocks in z, y, x order, as planar blocks have them."""
    return TransformPlan(*(leaf.reshape(*leaf.shape[:-3], -1) for leaf in plan))


def block_strides(plan: TransformPlan) -> tuple[int, int, int]:
    """Distances in a flattened grid between a block and the next one along z, y and x."""
    _, y, x = plan.crossed.shape[1:]
    return y * x, x, 1
