import base64
import math
import struct
from typing import Any

import numpy as np
import pytest

from nvc_jax.core.chunk_interfaces import NO_LIMITS
from nvc_jax.io.declared_values import (
    attributes_for_zarr,
    declared_fill_value,
    parse_floats,
    read_declared_values,
)

FLOAT32, INT16, INT8, UINT8 = (np.dtype(name) for name in ("float32", "int16", "int8", "uint8"))


def as_base64(value: float) -> str:
    return base64.standard_b64encode(struct.pack("<d", value)).decode()


@pytest.mark.parametrize(
    ("stored", "numbers"),
    [
        (3, [3.0]),
        (np.float32(0.5), [0.5]),
        (np.array([1, 2], np.int8), [1.0, 2.0]),
        ([1, "-Infinity", None], [1.0, -math.inf]),
        ("-9999\0", [-9999.0]),
        (" -3.4e+38", [-3.4e38]),
        (as_base64(-9999.0), [-9999.0]),
        ("[1, 2.5, null]", [1.0, 2.5]),
        ("[1, 2", []),
        ("none", []),
        (None, []),
        ({"a": 1}, []),
    ],
)
def test_numbers_are_read_in_every_form(stored: Any, numbers: list[float]) -> None:
    assert parse_floats(stored) == numbers


@pytest.mark.parametrize("stored", [math.nan, "NaN", "nan", as_base64(math.nan)])
def test_nan_is_read_in_every_form(stored: Any) -> None:
    assert all(map(math.isnan, parse_floats(stored)))
    assert read_declared_values({"_FillValue": stored}, (), FLOAT32) == ((), NO_LIMITS)
    assert read_declared_values({"_FillValue": stored}, (), INT16) == ((), NO_LIMITS)


def test_floats_are_cast_to_the_dtype_of_the_data() -> None:
    as_stored = float(np.float32(9.96921e36))
    declared = read_declared_values({"_FillValue": 9.96921e36, "missing_value": [0.1, -1]}, [1e300], FLOAT32)
    assert declared.missing_values == (as_stored, float(np.float32(0.1)), -1.0)
    limits = read_declared_values({"valid_range": [0.1, 1e300]}, (), FLOAT32).valid_limits
    assert limits == (float(np.float32(0.1)), math.inf)


def test_all_that_is_stated_holds() -> None:
    attributes = {"_FillValue": -9999, "missing_value": -8888, "valid_min": -5, "valid_max": 40}
    declared = read_declared_values(attributes, [-7777.0, -9999.0], INT16)
    assert declared == ((-7777.0, -9999.0, -8888.0), (-5.0, 40.0))
    assert read_declared_values({"valid_range": [0, 9], "valid_min": 3}, (), INT16).valid_limits == (3.0, 9.0)


@pytest.mark.parametrize(
    ("attributes", "dtype", "fault"),
    [
        ({"_FillValue": -9999}, UINT8, "the missing value -9999 is no value of uint8"),
        ({"missing_value": 0.5}, INT16, "the missing value 0.5 is no value of int16"),
        ({"_FillValue": 1e20}, INT16, "is no value of int16"),
        ({"_FillValue": "none"}, FLOAT32, "`_FillValue` .* is no number"),
        ({"valid_range": [1, 2, 3]}, FLOAT32, "`valid_range` .* states no limits"),
        ({"valid_min": "low"}, FLOAT32, "`valid_min` .* states no limits"),
        ({"valid_range": [5, 1]}, FLOAT32, "do not suit the stored float32"),
        ({"valid_range": [0, -2], "_Unsigned": "true"}, INT8, "do not suit the stored int8"),
    ],
)
def test_what_cannot_be_honoured_is_named(attributes: dict, dtype: np.dtype, fault: str) -> None:
    with pytest.warns(UserWarning, match=f"{fault}.*; it is ignored"):
        assert read_declared_values(attributes, (), dtype) == ((), NO_LIMITS)


def test_limits_of_packed_variables_are_in_the_units_of_their_type() -> None:
    scaling = {"scale_factor": float(np.float32(0.01)), "add_offset": 273.15}
    packed = {**scaling, "valid_range": [-100, 100]}
    assert read_declared_values(packed, (), INT16).valid_limits == (-100.0, 100.0)
    unpacked = {**scaling, "valid_min": 272.15, "valid_max": 274.15}
    assert read_declared_values(unpacked, (), INT16).valid_limits == (-100.0, 100.0)
    falling = {"scale_factor": -0.5, "valid_min": 1.0}
    assert read_declared_values(falling, (), INT16).valid_limits == (-math.inf, -2.0)
    assert read_declared_values({"valid_max": 7.5}, (), INT16).valid_limits == (-math.inf, 7.5)
    as_text = {**scaling, "valid_range": "[272.15, 274.15]"}
    assert read_declared_values(as_text, (), INT16).valid_limits == (-100.0, 100.0)


def test_unsigned_values_may_be_stored_as_signed_ones() -> None:
    declared = read_declared_values({"_FillValue": 255, "_Unsigned": "true"}, (), INT8)
    assert declared.missing_values == (-1.0,)


def test_a_fill_value_of_zero_declares_nothing_unless_xarray_wrote_it() -> None:
    assert declared_fill_value(0) == declared_fill_value(None) == ()
    assert declared_fill_value(-9999) == (-9999.0,)
    assert declared_fill_value(0, is_of_xarray=True) == (0.0,)
    assert declared_fill_value(None, is_of_xarray=True) == ()


@pytest.mark.parametrize(
    ("attributes", "missing_values", "dtype", "expected"),
    [
        ({"units": "K"}, (), FLOAT32, {"units": "K"}),
        ({"_FillValue": -9999.0}, (), FLOAT32, {"_FillValue": as_base64(-9999)}),
        ({"_FillValue": as_base64(-9999)}, (), FLOAT32, {"_FillValue": as_base64(-9999)}),
        ({"_FillValue": [-9999.0]}, (-9999.0,), INT16, {"_FillValue": -9999}),
        ({}, (-9999.0,), FLOAT32, {"_FillValue": as_base64(-9999)}),
        ({}, (-1.0, -2.0), INT16, {"_FillValue": -1, "missing_value": -2}),
        ({"missing_value": -1}, (-1.0,), INT16, {"missing_value": -1}),
        ({"missing_value": -1}, (-2.0,), INT16, {"_FillValue": -2, "missing_value": -1}),
        ({"missing_value": [-1.0, "NaN"]}, (), FLOAT32, {"missing_value": -1.0}),
        ({"missing_value": "NaN"}, (), FLOAT32, {"missing_value": "NaN"}),
        ({"_FillValue": "none"}, (), FLOAT32, {}),
        ({"_FillValue": -0.5}, (), INT16, {}),
    ],
)
def test_missing_values_are_written_as_xarray_reads_them(
    attributes: dict, missing_values: tuple[float, ...], dtype: np.dtype, expected: dict
) -> None:
    assert attributes_for_zarr(attributes, missing_values, dtype) == expected
