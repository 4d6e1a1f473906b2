import ml_dtypes
import numpy as np
import pytest

from nvc_jax.core.dtypes import (
    DEVICE_DTYPES,
    DTYPES,
    check_device_dtype,
    check_dtype,
    float_limits,
    is_float,
    is_narrow,
    round_floats,
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_supported_dtypes_pass(dtype: str) -> None:
    check_dtype(np.dtype(dtype))
    check_dtype(dtype)


@pytest.mark.parametrize("dtype", ["complex64", "complex128", ">f4", "U3"])
def test_other_dtypes_are_named_in_the_error(dtype: str) -> None:
    with pytest.raises(TypeError, match=f"`volume` has dtype {np.dtype(dtype)}"):
        check_dtype(np.dtype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_device_takes_dtypes_that_float32_holds_exactly(dtype: str) -> None:
    is_integer = np.dtype(dtype).kind in "iu"
    is_exact = is_integer and np.iinfo(dtype).bits < 24
    assert (dtype in DEVICE_DTYPES) == (is_exact or dtype in ("float16", "float32"))
    if dtype in DEVICE_DTYPES:
        check_device_dtype(dtype, "data")
    else:
        with pytest.raises(TypeError, match=f"`data` has dtype {dtype}"):
            check_device_dtype(dtype, "data")


@pytest.mark.parametrize(
    ("dtype", "step"),
    [
        (np.dtype(ml_dtypes.float8_e4m3fn), "astype"),
        (np.dtype(ml_dtypes.int4), "astype"),
        (np.dtype(np.longdouble), "float64"),
        (np.dtype("complex128"), "imaginary"),
        (np.dtype([("a", "f4"), ("b", "i2")]), "fields"),
        (np.dtype("M8[s]"), "one of these"),
    ],
)
def test_other_dtypes_have_a_next_step(dtype: np.dtype, step: str) -> None:
    with pytest.raises(TypeError, match=step):
        check_dtype(dtype)


def test_bfloat16_is_a_float() -> None:
    floats = [name for name in DTYPES if is_float(np.dtype(name))]
    assert floats == ["float16", "bfloat16", "float32", "float64"]
    largest = 2.0**128 - 2.0**120
    assert float_limits(np.dtype("bfloat16")) == (-largest, largest, 2.0**-126)
    assert float_limits(np.dtype("float16")) == (-65504.0, 65504.0, 2.0**-14)


def test_narrow_dtypes_have_values_that_float32_holds() -> None:
    narrow = [name for name in DTYPES if is_narrow(np.dtype(name))]
    assert narrow == ["uint8", "int8", "uint16", "int16", "float16", "bfloat16", "float32"]


def test_numbers_are_rounded_once() -> None:
    """Numbers next to the middle between two values, which float32 does not tell from it."""
    kind = np.dtype("bfloat16")
    bits = np.random.default_rng(0).integers(0, 0x7F7F, 2000).astype(np.uint16)
    low, high = (part.view(kind).astype(np.float64) for part in (bits, bits + np.uint16(1)))
    middle, even = (low + high) / 2, np.where(bits % 2, high, low)
    for sign in (1, -1):
        for share, expected in ((0, even), (1e-12, high), (-1e-12, low)):
            rounded = round_floats(sign * (middle + share * (high - low)), kind)
            np.testing.assert_array_equal(rounded.astype(np.float64), sign * expected)
    ends = round_floats(np.array([1e39, -np.inf]), kind).astype(float)
    np.testing.assert_array_equal(ends, float_limits(kind)[1::-1])
