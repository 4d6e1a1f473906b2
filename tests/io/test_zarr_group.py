"""Data sets of xarray, through a container, to Zarr groups and NetCDF: equal but for the bound."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import nvc_jax
from nvc_jax.io.volumes import read_metadata
from nvc_jax.io.zarr_group import split_variable

MAX_ERROR = 0.01


def make_dataset() -> xr.Dataset:
    """A variable over uneven times, falling latitudes of float32 and even longitudes."""
    values = np.cumsum(np.random.default_rng(0).normal(0, 1, (6, 8, 10)), axis=2).astype(np.float32)
    values[0, 0, :3] = np.nan
    times = np.array([f"2001-{month:02d}-16T12" for month in range(1, 7)], "M8[ns]")
    attributes = {"units": "K", "long_name": "Température", "levels": np.array([1, 2, 3], np.int32)}
    coordinates: dict[str, Any] = {
        "time": ("time", times, {"standard_name": "time"}),
        "lat": ("lat", np.linspace(70, -70, 8).astype(np.float32), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(10) * 36.0, {"units": "degrees_east"}),
    }
    return xr.Dataset({"t": (("time", "lat", "lon"), values, attributes)}, coordinates)


def open_zarr(path: Path) -> xr.Dataset:
    return xr.open_zarr(path, consolidated=False).load()


OUTPUTS: dict[str, tuple[str, Callable[[Path], xr.Dataset]]] = {
    "zarr": ("out.zarr::t", lambda path: open_zarr(path / "out.zarr")),
    "netcdf": (
        "out.nc",
        lambda path: xr.open_dataset(path / "out.nc", engine="netcdf4").load().rename(volume="t"),
    ),
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF3_64BIT", "array", "zarr 2", "zarr 3"])
def test_datasets_are_equal_but_for_the_bound(kind: str, output: str, tmp_path: Path) -> None:
    data = make_dataset()
    source: Any = data["t"]
    if kind.startswith("zarr"):
        data.to_zarr(tmp_path / "in.zarr", zarr_format=int(kind[-1]), consolidated=False)
        data, source = open_zarr(tmp_path / "in.zarr"), tmp_path / "in.zarr" / "t"
    elif kind != "array":
        data.to_netcdf(tmp_path / "in.nc", format=kind, encoding={"t": {"_FillValue": np.float32(-999)}})
        data, source = xr.open_dataset(tmp_path / "in.nc").load(), f"{tmp_path}/in.nc::t"
    nvc_jax.compress(source, tmp_path / "c.zarr", max_error=MAX_ERROR, chunks=(8, 8, 16))
    name, read = OUTPUTS[output]
    nvc_jax.decompress(tmp_path / "c.zarr", f"{tmp_path}/{name}")
    back = read(tmp_path)
    assert 0 < abs(back["t"] - data["t"]).max() <= MAX_ERROR
    np.testing.assert_array_equal(np.isnan(back["t"]), np.isnan(data["t"]))
    xr.testing.assert_identical(back.assign(t=back["t"].copy(data=data["t"].values)), data)


def test_packed_variables_stay_packed(tmp_path: Path) -> None:
    packing = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 5.0, "_FillValue": -32768}
    make_dataset().to_netcdf(tmp_path / "in.nc", encoding={"t": packing})
    data = xr.open_dataset(tmp_path / "in.nc").load()
    nvc_jax.compress(f"{tmp_path}/in.nc::t", tmp_path / "c.zarr", lossless=True)
    nvc_jax.decompress(tmp_path / "c.zarr", f"{tmp_path}/out.zarr::t")
    back = open_zarr(tmp_path / "out.zarr")
    xr.testing.assert_identical(back, data)
    for key, value in packing.items():
        assert back["t"].encoding[key] == value


def test_a_region_has_its_coordinates(tmp_path: Path) -> None:
    data = make_dataset()
    nvc_jax.compress(data["t"], tmp_path / "c.zarr", lossless=True, chunks=(8, 8, 16))
    region = np.s_[2:5, 3:8, 0:10]
    nvc_jax.decompress(tmp_path / "c.zarr", f"{tmp_path}/out.zarr::t", region=region)
    xr.testing.assert_identical(open_zarr(tmp_path / "out.zarr"), data.isel(time=region[0], lat=region[1]))


def test_arrays_of_another_length_are_no_coordinates(tmp_path: Path) -> None:
    data = make_dataset()
    data.to_zarr(tmp_path / "in.zarr", consolidated=False)
    zarr.create_array(tmp_path / "in.zarr" / "lon", data=np.arange(7.0), overwrite=True)
    attributes = read_metadata(tmp_path / "in.zarr" / "t").attributes
    assert attributes["axis_coordinates"].keys() == {"time", "lat"}


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "__x"])
def test_names_of_variables_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match="must be the name of a variable"):
        split_variable(f"out.zarr::{name}")


def test_a_variable_is_not_an_axis(tmp_path: Path) -> None:
    nvc_jax.compress(make_dataset()["t"], tmp_path / "c.zarr", lossless=True)
    with pytest.raises(ValueError, match="is the name of an axis"):
        nvc_jax.decompress(tmp_path / "c.zarr", f"{tmp_path}/out.zarr::lat")
    assert not (tmp_path / "out.zarr").exists()
    assert split_variable("out.zarr") == ("out.zarr", None)
