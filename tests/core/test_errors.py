import math

import numpy as np
import pytest

from nvc_jax.core.errors import error_unit, largest_error, psnr_from_errors, squared_errors

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
