import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy.delta_prediction import accumulate, difference, difference_in_place

SHAPE = (3, 4, 5)
AXES = [axes for n in range(4) for axes in itertools.product(range(3), repeat=n)]


def integers(seed: int, dtype: type) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, SHAPE, dtype, endpoint=True)


def masks_for(axes: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """A random mask for each axis, constant along it."""
    rng = np.random.default_rng(seed)
    return [rng.random([1 if a == axis else side for a, side in enumerate(SHAPE)]) < 0.5 for axis in axes]


def test_differences_are_those_to_the_integer_before() -> None:
    values = np.array([[5, 7, 4], [1, 1, 9]])
    np.testing.assert_array_equal(difference(values, [1]), [[5, 2, -3], [1, 0, 8]])
    np.testing.assert_array_equal(difference(values, [0]), [[5, 7, 4], [-4, -6, 5]])
    np.testing.assert_array_equal(difference(values, [0, 1]), [[5, 2, -3], [-4, -2, 11]])
    only_first_row = [np.array([[True], [False]])]
    np.testing.assert_array_equal(difference(values, [1], only_first_row), [[5, 2, -3], [1, 1, 9]])


@pytest.mark.parametrize("axes", [(), (2,), (0, 1, 2), (1, 1), (0, 1, 2, 0, 1, 2)])
def test_differences_in_place_are_the_same(axes: tuple[int, ...]) -> None:
    values = integers(7, np.int64)
    expected = difference(values, axes)
    difference_in_place(values, axes)
    np.testing.assert_array_equal(values, expected)


@given(st.integers(0, 2**32 - 1), st.sampled_from(AXES), st.sampled_from([np.int32, np.int64]), st.booleans())
def test_any_integers_come_back(seed: int, axes: tuple[int, ...], dtype: type, is_masked: bool) -> None:
    values, masks = integers(seed, dtype), masks_for(axes, seed) if is_masked else None
    differences = difference(values, axes, masks)
    back = accumulate(differences, axes, masks)
    assert differences.dtype == back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


@pytest.mark.parametrize("axes", [(), (1,), (0, 1, 2), (2, 2)])
@pytest.mark.parametrize("is_masked", [False, True])
def test_both_libraries_agree(axes: tuple[int, ...], is_masked: bool) -> None:
    values, masks = integers(0, np.int32), masks_for(axes, 0) if is_masked else None
    for function in (difference, accumulate):
        traced = jax.jit(lambda x, function=function: function(x, axes, masks))(jnp.asarray(values))
        assert traced.dtype == jnp.int32
        expected = function(values, axes, masks)
        assert isinstance(expected, np.ndarray)
        np.testing.assert_array_equal(traced, expected)
