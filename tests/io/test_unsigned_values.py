from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray
import zarr
from scipy.io import netcdf_file

import nvc_jax
from nvc_jax.io.declared_values import read_declared_values
from nvc_jax.io.unsigned_values import attributes_as_meant, meant_dtype
from nvc_jax.io.volumes import open_volume, read_metadata

MEANT = np.arange(16 * 16 * 16, dtype=np.uint8).reshape(16, 16, 16)
STORED = MEANT.view(np.int8)
DECLARED = {"_Unsigned": "true", "_FillValue": np.int8(-1)}


def as_hdf5(path: Path) -> str:
    with h5py.File(path / "v.h5", "w") as file:
        file.create_dataset("v", data=STORED).attrs.update(DECLARED)
    return str(path / "v.h5")


def as_netcdf3(path: Path) -> str:
    with netcdf_file(path / "v.nc", "w") as file:
        for name in "zyx":
            file.createDimension(name, 16)
        variable = file.createVariable("v", "b", tuple("zyx"))
        variable[:] = STORED
        variable._Unsigned, variable._FillValue = "true", np.int8(-1)
    return str(path / "v.nc")


def as_zarr(path: Path) -> str:
    zarr.create_array(path / "v.zarr", data=STORED, attributes={"_Unsigned": "true", "_FillValue": -1})
    return str(path / "v.zarr")


def as_labelled(path: Path) -> xarray.DataArray:
    return xarray.DataArray(STORED, dims=tuple("zyx"), attrs=DECLARED)


@pytest.mark.parametrize("make", [as_hdf5, as_netcdf3, as_zarr, as_labelled])
def test_bounds_hold_for_the_integers_that_are_meant(make: Any, tmp_path: Path) -> None:
    source = make(tmp_path)
    np.testing.assert_array_equal(open_volume(source).read().result(), MEANT)

    nvc_jax.compress(source, tmp_path / "o.zarr", max_error=3)
    nvc_jax.verify(source, tmp_path / "o.zarr")
    decoded = nvc_jax.open(tmp_path / "o.zarr").read().result()
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - MEANT).max() <= 3
    np.testing.assert_array_equal(decoded == 255, MEANT == 255)
    attributes = read_metadata(tmp_path / "o.zarr").attributes
    assert attributes["_FillValue"] == 255
    assert "_Unsigned" not in attributes


def test_declared_values_and_limits_are_those_that_are_meant() -> None:
    stated = {"_Unsigned": "true", "valid_range": [0, -56], "missing_value": [-1, 254], "units": "1"}
    declared = read_declared_values(stated, (), np.dtype(np.uint8))
    assert declared == ((255.0, 254.0), (0, 200))
    meant = attributes_as_meant(stated, np.dtype(np.uint8))
    assert meant == {"valid_range": [0, 200], "missing_value": [255, 254], "units": "1"}


@pytest.mark.parametrize(
    ("stored", "unsigned", "meant"),
    [
        ("int16", "true", "uint16"),
        ("int16", "True\0", "uint16"),
        ("int16", "false", "int16"),
        ("uint8", "false", "int8"),
        ("uint8", "true", "uint8"),
        ("float32", "true", "float32"),
        (">i4", "true", ">u4"),
    ],
)
def test_the_attribute_says_which_integers_are_meant(stored: str, unsigned: str, meant: str) -> None:
    assert meant_dtype(np.dtype(stored), {"_Unsigned": unsigned}) == np.dtype(meant)
    assert meant_dtype(np.dtype(stored), {}) == np.dtype(stored)


def test_what_was_written_as_unsigned_values_wraps_to_signed_ones() -> None:
    stated = {"_Unsigned": "false", "_FillValue": 255, "valid_min": 0.5}
    assert attributes_as_meant(stated, np.dtype(np.int8)) == {"_FillValue": -1, "valid_min": 0.5}
    assert attributes_as_meant(stated, np.dtype(np.uint8)) == stated
