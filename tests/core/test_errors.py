import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.dtypes import CODED_DTYPES
from nvc_jax.core.errors import (
    error_unit,
    largest_and_squared_errors,
    largest_error,
    largest_pointwise_error,
    psnr_from_errors,
    squared_errors,
)

ORIGINAL = np.array([0, 3, 250, 10], np.uint8)
DECODED = np.array([1, 1, 255, 10], np.uint8)


def test_squared_errors_of_unsigned_integers_do_not_wrap():
    assert squared_errors(ORIGINAL, DECODED) == (1 + 4 + 25, 4)


def test_squared_errors_leave_out_what_the_mask_excludes():
    assert squared_errors(ORIGINAL, DECODED, np.array([True, True, False, True])) == (1 + 4, 3)
    assert squared_errors(ORIGINAL, DECODED, np.zeros(4, bool)) == (0, 0)


@pytest.mark.parametrize("scale", [5e-324 * 2**20, 1e-200, 1.0, 1e99, 1e200, 1e300])
def test_the_psnr_does_not_depend_on_the_scale(scale: float) -> None:
    original, decoded = np.array([0.0, 250, 100]) * scale, np.array([1.0, 250, 98]) * scale
    unit = error_unit(250 * scale)
    parts = [squared_errors(original, decoded, None, unit)]
    assert psnr_from_errors(250 * scale / unit, parts) == pytest.approx(45.74, abs=0.01)
    assert error_unit(scale) == (1 if 1e-100 < scale < 1e100 else scale)


@pytest.mark.parametrize("scale", [0.0, math.inf, math.nan])
def test_without_a_scale_the_unit_is_1(scale: float) -> None:
    assert error_unit(scale) == 1


def test_squared_errors_of_no_values_are_none():
    assert squared_errors(ORIGINAL[:0], DECODED[:0]) == (0, 0)


@given(st.integers(0, 9), st.sampled_from(["uint8", "int64", "float32", "float64"]), st.booleans())
def test_both_errors_at_once_are_those_of_each(seed: int, dtype: str, is_masked: bool):
    random = np.random.default_rng(seed)
    original, decoded = (random.uniform(0, 99, (2, 3, 50)).astype(dtype) for _ in range(2))
    mask = random.random(original.shape) < 0.5 if is_masked else None
    assert largest_and_squared_errors(original, decoded, mask, 2.0) == (
        largest_error(original, decoded, mask),
        squared_errors(original, decoded, mask, 2.0),
    )


def test_psnr_is_that_of_all_parts_together():
    parts = [squared_errors(ORIGINAL[:1], DECODED[:1]), squared_errors(ORIGINAL[1:], DECODED[1:])]
    assert psnr_from_errors(250, parts) == 20 * math.log10(250) - 10 * math.log10(30 / 4)


@pytest.mark.parametrize("parts", [[(0.0, 0)], [(0.0, 4)], [(5e-324, 4)]])
def test_psnr_without_error_is_infinite(parts):
    assert psnr_from_errors(250, parts) == math.inf


def test_psnr_of_a_constant_with_errors_is_minus_infinity():
    assert psnr_from_errors(0, [(1.0, 1)]) == -math.inf


def test_psnr_of_a_nan_error_is_nan():
    assert math.isnan(psnr_from_errors(250, [(math.nan, 1)]))


def test_largest_error_leaves_out_what_the_mask_excludes():
    assert largest_error(ORIGINAL, DECODED) == 5
    assert largest_error(ORIGINAL, DECODED, np.ones(4, bool)) == 5
    assert largest_error(ORIGINAL, DECODED, np.array([True, True, False, True])) == 2
    assert largest_error(ORIGINAL, DECODED, np.zeros(4, bool)) == 0
    assert largest_error(ORIGINAL[:0], DECODED[:0]) == 0


def test_largest_error_keeps_a_nan_and_an_overflow():
    assert math.isnan(largest_error(np.array([0.0, 9.0]), np.array([np.nan, 0.0])))
    assert largest_error(np.array([-1.7e308]), np.array([1.7e308])) == math.inf


@given(st.sampled_from(CODED_DTYPES), st.integers(0, 2**32), st.booleans())
def test_the_largest_pointwise_error_is_the_exact_ratio_rounded_up(dtype: str, seed: int, is_near: bool):
    rng, kind = np.random.default_rng(seed), np.dtype(dtype)
    original = np.frombuffer(rng.bytes(20 * kind.itemsize), kind).copy()
    original[~np.isfinite(original) | (original == 0)] = 1
    bits = original.view(f"u{kind.itemsize}")
    decoded = (bits ^ rng.integers(0, 4, 20).astype(bits.dtype)).view(kind) if is_near else original[::-1]
    decoded = np.where(np.isfinite(decoded), decoded, original)
    largest = largest_pointwise_error(original, decoded)
    pairs = zip(original.tolist(), decoded.tolist(), strict=True)
    exact = max(abs(Fraction(x) - Fraction(y)) / abs(Fraction(x)) for x, y in pairs)
    if math.isinf(largest):
        assert exact > 2**1023
    else:
        assert largest >= exact
        assert exact == 0 or math.nextafter(largest, 0) < exact


def test_pointwise_errors_at_a_bound_keep_it():
    original = np.array([10, 3, 1000, 7], np.uint16)
    decoded = np.array([9, 3, 1001, 7], np.uint16)
    assert largest_pointwise_error(original, decoded) == 0.1
    assert largest_pointwise_error(original, decoded, np.array([False, True, True, True])) == 0.001
    assert largest_pointwise_error(original, original) == 0
    assert largest_pointwise_error(original[:0], decoded[:0]) == 0


def test_pointwise_errors_of_zeros_and_nan_keep_no_bound():
    zeros = np.array([0.0, -0.0, 2.0])
    assert largest_pointwise_error(zeros, zeros[::-1][::-1]) == 0
    assert largest_pointwise_error(zeros, np.array([-0.0, 0.0, 2.0])) == 0
    assert largest_pointwise_error(zeros, np.array([5e-324, 0.0, 2.0])) == math.inf
    assert math.isnan(largest_pointwise_error(zeros, np.array([0.0, 0.0, np.nan])))
    assert largest_pointwise_error(np.array([1e308]), np.array([np.nextafter(1e308, 0)])) > 0
