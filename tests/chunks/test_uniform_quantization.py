import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvc_jax.chunks.uniform_quantization import (
    choose_spacing,
    dequantize_uniform,
    from_ordered,
    quantize_uniform,
    round_to_dtype,
    rounding_error,
    to_ordered,
)
from nvc_jax.core.dtypes import CODED_DTYPES, float_limits, is_float


@given(st.data(), st.sampled_from(CODED_DTYPES))
def test_ordered_integers_are_ordered_and_come_back(data: st.DataObject, dtype: str) -> None:
    size = np.dtype(dtype).itemsize
    bits = data.draw(hnp.arrays(f"u{size}", (20,), elements=st.integers(0, 2 ** (8 * size) - 1)))
    values = bits.view(dtype)
    integers = to_ordered(values)
    np.testing.assert_array_equal(from_ordered(integers, values.dtype).view(bits.dtype), bits)
    finite = np.isfinite(values)
    order = np.argsort(integers[finite], kind="stable")
    assert (np.diff(values[finite][order].astype(np.float64)) >= 0).all()


@given(st.data(), st.sampled_from(CODED_DTYPES), st.floats(1e-6, 1.0))
def test_quantised_values_keep_the_bound(data: st.DataObject, dtype: str, relative: float) -> None:
    kind = np.dtype(dtype)
    if is_float(kind):
        limit = min(float_limits(kind)[1], 1e300) / 4
        drawn = np.dtype(np.float32) if dtype == "bfloat16" else kind
        elements = st.floats(-limit, limit, width=8 * drawn.itemsize)
        values = data.draw(hnp.arrays(drawn, (30,), elements=elements)).astype(kind)
    else:
        elements = st.integers(np.iinfo(kind).min, np.iinfo(kind).max)
        values = data.draw(hnp.arrays(kind, (30,), elements=elements))
    low, high = float(values.min()), float(values.max())
    bound = relative * (high - low)
    spacing = choose_spacing(kind, low, high, bound)
    if spacing is None:
        assert is_float(kind)
        return
    points = quantize_uniform(values, low, spacing)
    decoded = dequantize_uniform(points, low, spacing, kind)
    assert decoded.dtype == kind
    assert np.abs(decoded.astype(np.float64) - values.astype(np.float64)).max() <= bound


def test_spacings_too_fine_for_the_dtype_are_refused() -> None:
    assert choose_spacing(np.dtype("float32"), 0, 1, 1e-8) is None
    assert choose_spacing(np.dtype("float64"), 0, 1, 1e-8) == pytest.approx(2e-8, rel=1e-6)
    assert choose_spacing(np.dtype("float64"), 0, 1, 1e-17) is None
    assert choose_spacing(np.dtype("uint8"), 0, 255, 0.9) == 1


def test_rounding_stays_within_the_dtype() -> None:
    rounded = round_to_dtype(np.array([-3.0, 300.0, 1.5, 2.5]), np.dtype("uint8"))
    assert rounded.tolist() == [0, 255, 2, 2]
    assert np.isfinite(round_to_dtype(np.array([1e6, -1e6]), np.dtype("float16"))).all()


@given(st.sampled_from(CODED_DTYPES), st.floats(-1e4, 1e4))
def test_rounding_changes_a_number_by_no_more_than_is_stated(dtype: str, number: float) -> None:
    kind = np.dtype(dtype)
    if not is_float(kind):
        number = float(np.clip(number, np.iinfo(kind).min, np.iinfo(kind).max))
    rounded = float(round_to_dtype(np.array(number), kind))
    assert abs(rounded - number) <= rounding_error(kind, abs(number))


def test_damaged_points_saturate() -> None:
    decoded = dequantize_uniform(np.array([1 << 52]), 0.0, 1e300, np.dtype("float64"))
    assert decoded.tolist() == [np.finfo(np.float64).max]
