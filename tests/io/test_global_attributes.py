"""Attributes of files and groups, and variables that a volume's attributes name."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

import nvc_jax
from nvc_jax.io.global_attributes import GLOBAL_ATTRIBUTES, split_global_attributes, warn_of_references
from nvc_jax.io.volumes import read_metadata

OF_FILE = {"title": "Températures", "history": "by hand", "Conventions": "CF-1.8", "levels": 3}


def make_dataset() -> xr.Dataset:
    values = np.cumsum(np.random.default_rng(0).normal(0, 1, (6, 8, 10)), axis=2).astype(np.float32)
    coordinates: dict[str, Any] = {"lat": ("lat", np.arange(8.0)), "lon": ("lon", np.arange(10.0))}
    return xr.Dataset({"t": (("level", "lat", "lon"), values)}, coordinates, attrs=OF_FILE)


WRITERS: dict[str, Callable[[xr.Dataset, Path], str]] = {
    **{
        kind: lambda data, folder, kind=kind: _to_netcdf(data, folder, kind)  # type: ignore[misc]
        for kind in ("NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA")
    },
    **{
        f"zarr {version}": lambda data, folder, version=version: _to_zarr(data, folder, version)  # type: ignore[misc]
        for version in (2, 3)
    },
}


def _to_netcdf(data: xr.Dataset, folder: Path, kind: str) -> str:
    """Write by netCDF4 itself, which has formats that xarray lacks."""
    with netCDF4.Dataset(folder / "in.nc", "w", format=kind) as file:
        file.setncatts(dict(data.attrs))
        for name, side in data.sizes.items():
            file.createDimension(str(name), side)
        for name, variable in data.variables.items():
            made = file.createVariable(str(name), variable.dtype, variable.dims)
            made.setncatts(dict(variable.attrs))
            made[...] = variable.values
    return f"{folder}/in.nc::t"


def _to_zarr(data: xr.Dataset, folder: Path, version: int) -> str:
    data.to_zarr(folder / "in.zarr", zarr_format=version, consolidated=False)  # type: ignore[call-overload]
    return f"{folder}/in.zarr/t"


@pytest.mark.parametrize("kind", WRITERS)
def test_attributes_of_files_and_groups_come_back_where_they_were(kind: str, tmp_path: Path) -> None:
    source = WRITERS[kind](make_dataset(), tmp_path)
    assert read_metadata(source).attributes[GLOBAL_ATTRIBUTES] == OF_FILE
    nvc_jax.compress(source, tmp_path / "c.zarr", max_error=0.1)
    nvc_jax.compress(source, f"{tmp_path}/g.zarr::t", max_error=0.1)
    for name, container in (("a", tmp_path / "c.zarr"), ("b", tmp_path / "g.zarr" / "t")):
        nvc_jax.decompress(container, tmp_path / f"{name}.nc")
        nvc_jax.decompress(container, f"{tmp_path}/{name}.zarr::t")
        with xr.open_dataset(tmp_path / f"{name}.nc", engine="netcdf4") as back:
            assert back.attrs == OF_FILE
            assert GLOBAL_ATTRIBUTES not in back["volume"].attrs
        with xr.open_zarr(tmp_path / f"{name}.zarr", consolidated=False) as back:
            assert back.attrs == OF_FILE
            assert GLOBAL_ATTRIBUTES not in back["t"].attrs


def test_attributes_of_inner_groups_take_precedence(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.attrs.update({"title": "outer", "site": "A"})
        file.create_dataset("run/volume", data=np.zeros((3, 4, 5), np.float32))
        file["run"].attrs["title"] = "inner"
    assert read_metadata(tmp_path / "v.h5").attributes == {GLOBAL_ATTRIBUTES: {"title": "inner", "site": "A"}}


def test_attributes_of_the_file_of_an_open_variable_are_kept(tmp_path: Path) -> None:
    _to_netcdf(make_dataset(), tmp_path, "NETCDF4")
    with netCDF4.Dataset(tmp_path / "in.nc") as file:
        nvc_jax.compress(file["t"], tmp_path / "c.zarr", max_error=0.1)
    assert read_metadata(tmp_path / "c.zarr").attributes[GLOBAL_ATTRIBUTES] == OF_FILE


@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF3_CLASSIC"])
def test_variables_that_are_referred_to_and_not_kept_are_named_once(kind: str, tmp_path: Path) -> None:
    data = make_dataset()
    data["t"].attrs = {
        "grid_mapping": "crs: lat lon",
        "cell_measures": "area: areacella volume: elsewhere",
        "coordinates": "place lat",
    }
    data["lat"].attrs["bounds"] = "lat_bnds"
    data["crs"] = ((), np.int32(0))
    data["areacella"] = data["place"] = (("lat", "lon"), np.zeros((8, 10)))
    data["lat_bnds"] = (("lat", "two"), np.zeros((8, 2)))
    _to_netcdf(data.drop_attrs(deep=False), tmp_path, kind)
    expected = r"in.nc::/?t` refers to `place`, `crs`, `areacella`, `lat_bnds`, which are not kept: keep the"
    with pytest.warns(UserWarning, match=expected) as caught:
        nvc_jax.compress(f"{tmp_path}/in.nc::t", tmp_path / "c.zarr", max_error=0.1)
    assert len(caught) == 1


def test_what_is_kept_or_elsewhere_is_not_named() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_references(
            "v.nc::t", [{"coordinates": "lat lon", "bounds": 3}], {"lat"}.__contains__, ["lat"]
        )


def test_an_attribute_of_that_name_that_is_no_table_stays() -> None:
    assert split_global_attributes({GLOBAL_ATTRIBUTES: "none"}) == ({GLOBAL_ATTRIBUTES: "none"}, {})
