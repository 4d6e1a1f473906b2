import jax.numpy as jnp
import numpy as np

from nvc_jax.transform.block_layout import make_layout
from nvc_jax.transform.boundary_emphasis import boundary_weights
from nvc_jax.transform.error_weights import error_weights
from nvc_jax.transform.partial_blocks import error_scale

GRID = (2, 3, 4)


def test_full_blocks_away_from_boundaries_weigh_1() -> None:
    layout = make_layout(GRID, jnp.array([16, 24, 32], jnp.int32))
    np.testing.assert_array_equal(error_weights(layout, GRID, jnp.int32(0)), 1)


def test_boundaries_and_partial_blocks_multiply_and_dc_is_left_out() -> None:
    layout, boundaries = make_layout(GRID, jnp.array([13, 24, 30], jnp.int32)), jnp.int32(0b100001)
    weights = np.asarray(error_weights(layout, GRID, boundaries))
    expected = boundary_weights(GRID, boundaries) * error_scale(layout)[:, None]
    np.testing.assert_array_equal(weights[:, 1:], expected[:, 1:])
    np.testing.assert_array_equal(weights[:, 0], 1)
    assert weights.min() < 1 < weights.max()
