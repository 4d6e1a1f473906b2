import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.transform.boundary_emphasis import (
    ALL_BOUNDARIES,
    boundaries_to_emphasize,
    emphasis_corners,
    emphasis_matrix,
    squared_error_weights,
)


@pytest.mark.parametrize("boundaries", [0, 0b01, 0b10, 0b11])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_emphasis_has_an_inverse_and_keeps_means(boundaries: int, axis: int) -> None:
    emphasizing, deemphasizing = map(np.asarray, emphasis_corners(jnp.int32(boundaries << 2 * axis), axis))
    np.testing.assert_allclose(emphasizing @ deemphasizing, [np.eye(4)] * 2, atol=1e-6)
    np.testing.assert_allclose(emphasizing.mean(axis=1), 0.25, atol=1e-6)
    changed = (emphasizing != np.eye(4)).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, [boundaries & 1, boundaries >> 1])


def test_both_ends_are_emphasized_alike() -> None:
    start, end = np.asarray(emphasis_corners(jnp.int32(0b11), 0)[0])
    np.testing.assert_array_equal(start, end[::-1, ::-1])
    np.testing.assert_allclose(start, emphasis_matrix(), atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_boundaries_of_other_axes_change_nothing(axis: int) -> None:
    others = jnp.int32(ALL_BOUNDARIES & ~(0b11 << 2 * axis))
    for corners in emphasis_corners(others, axis):
        np.testing.assert_array_equal(corners, [np.eye(4)] * 2)
    np.testing.assert_array_equal(squared_error_weights(16, others, axis), 1)


def test_errors_next_to_a_boundary_weigh_more() -> None:
    weights = squared_error_weights(16, jnp.int32(0b01), 0)
    np.testing.assert_array_equal(weights, [4, 2, *[1] * 14])
    weights = squared_error_weights(16, jnp.int32(0b110000), 2)
    np.testing.assert_array_equal(weights, [4, 2, *[1] * 12, 2, 4])


@given(st.tuples(*[st.integers(1, 24)] * 3), st.integers(0, ALL_BOUNDARIES))
def test_emphasized_voxels_lie_in_the_volume(valid_shape: tuple[int, ...], boundaries: int) -> None:
    kept = int(
        boundaries_to_emphasize((24, 24, 24), jnp.array(valid_shape, jnp.int32), jnp.int32(boundaries))
    )
    for axis, valid in enumerate(valid_shape):
        before, after = (boundaries >> 2 * axis + end & 1 for end in range(2))
        assert kept >> 2 * axis & 1 == (before and valid >= 4)
        assert kept >> 2 * axis + 1 & 1 == (after and valid == 24)
    assert kept >> 6 == 0
