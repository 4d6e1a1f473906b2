import jax.numpy as jnp
import numpy as np

from nvc_jax.transform.block_modes import LARGE, uniform_plan
from nvc_jax.transform.plan import block_strides, flatten_plan


def test_strides_are_the_distances_of_neighbours_in_a_flattened_plan() -> None:
    grid = (2, 4, 6)
    plan = uniform_plan(LARGE, grid, jnp.array([16, 32, 48], jnp.int32))
    flat = flatten_plan(plan)
    assert all(leaf.shape == (3, 48) for leaf in flat)
    for axis, stride in enumerate(block_strides(plan)):
        first = np.asarray(flat.first_half[axis])
        np.testing.assert_array_equal(np.flatnonzero(first) + stride, np.flatnonzero(flat.second_half[axis]))
