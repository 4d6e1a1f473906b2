import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.core import filling
from nvc_jax.native.filling import fill_smoothly

SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)


@given(st.data(), SHAPES, st.floats(0, 1))
def test_both_forms_fill_the_same(data: st.DataObject, shape: tuple[int, ...], share: float) -> None:
    elements = st.floats(width=32, allow_nan=False, allow_infinity=False)
    values = data.draw(hnp.arrays(np.float32, shape, elements=elements))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    valid = rng.random(shape) < share
    if valid.all():
        return
    low, high = (float(values[valid].min()), float(values[valid].max())) if valid.any() else (0.0, 0.0)
    values[~valid] = np.nan
    expected = filling.fill_smoothly(values, valid)
    within = np.where(valid, values, expected.clip(low, high))
    for found, wanted in zip(fill_smoothly(values, valid, low, high), (expected, within), strict=True):
        np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaps_are_filled_within_limits(dtype: type) -> None:
    values = np.arange(6.0 * 7 * 8, dtype=dtype).reshape(6, 7, 8)
    valid = values % 3 == 0
    smooth, within = fill_smoothly(values, valid, 0.0, 30.0)
    assert smooth.dtype == within.dtype == dtype
    assert smooth.max() > 30
    assert within[~valid].max() == 30
    np.testing.assert_array_equal(within[valid], values[valid])
    whole = np.ones_like(valid)
    assert all(one is values for one in fill_smoothly(values, whole, 0.0, 999.0))
