from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import zarr

import nvc_jax
from nvc_jax.io.open_variables import stored_values, variable_metadata
from nvc_jax.io.volumes import read_metadata

VALUES = np.random.default_rng(0).integers(-900, 900, (8, 16, 16)).astype(np.int32)
VALUES[0, 0, :5] = -9999


def of_h5py(path: Path) -> Any:
    dataset = h5py.File(path / "v.h5", "w").create_dataset("v", data=VALUES, fillvalue=-9999)
    dataset.attrs["units"] = "K"
    return dataset


def of_netcdf4(path: Path) -> Any:
    file = netCDF4.Dataset(path / "v.nc", "w")
    for name, side in zip("tyx", VALUES.shape, strict=True):
        file.createDimension(name, side)
    variable = file.createVariable("v", "i4", tuple("tyx"), fill_value=-9999)
    variable[:] = VALUES
    variable.units, variable.scale_factor = "K", 0.5
    return variable


def of_zarr(path: Path) -> Any:
    return zarr.create_array(
        path / "v.zarr",
        data=VALUES,
        fill_value=-9999,
        attributes={"units": "K"},
        dimension_names=tuple("tyx"),
    )


@pytest.mark.parametrize("make", [of_h5py, of_netcdf4, of_zarr])
def test_what_an_open_variable_declares_is_honoured(make: Any, tmp_path: Path) -> None:
    source = make(tmp_path)
    nvc_jax.compress(source, tmp_path / "o.zarr", max_error=20)
    decoded = nvc_jax.open(tmp_path / "o.zarr").read().result()
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded == -9999, VALUES == -9999)
    kept = read_metadata(tmp_path / "o.zarr")
    assert kept.attributes["units"] == "K"
    assert kept.attributes["_FillValue"] == -9999
    if make is not of_h5py:
        assert kept.dimension_names == tuple("tyx")


def test_variables_of_netcdf4_stay_packed_and_keep_their_settings(tmp_path: Path) -> None:
    variable = of_netcdf4(tmp_path)
    np.testing.assert_array_equal(stored_values(variable), VALUES)
    assert variable.mask
    assert variable.scale
    variable.set_auto_scale(False)
    stored_values(variable)
    assert (variable.mask, variable.scale) == (True, False)


def test_arrays_of_numpy_declare_nothing() -> None:
    assert variable_metadata(VALUES) is None
    assert stored_values(VALUES) is VALUES
