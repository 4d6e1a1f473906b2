"""Data sets compressed by ``ds.nvc.compress`` and opened by xarray: equal but for the bounds."""

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import nvc_jax
import nvc_jax.xarray

SHAPE = (6, 9, 11)
PACKING = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 5.0, "_FillValue": -32768}


def make_dataset() -> xr.Dataset:
    """Two variables over times, falling latitudes and longitudes, a mask, cell areas and a plain number."""
    generator = np.random.default_rng(0)
    t = np.cumsum(generator.normal(0, 1, SHAPE), axis=2).astype(np.float32)
    t[0, 0, :3] = np.nan
    times = np.array([f"2001-{month:02d}-16T12" for month in range(1, 7)], "M8[ns]")
    coordinates: dict[str, Any] = {
        "time": ("time", times, {"standard_name": "time"}),
        "lat": ("lat", np.linspace(70, -70, 9).astype(np.float32), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(11) * 32.0, {"units": "degrees_east"}),
        "height": ((), 2.0, {"units": "m"}),
        "area": (("lat", "lon"), np.full(SHAPE[1:], 7.0), {"units": "m2"}),
    }
    axes = ("time", "lat", "lon")
    attributes = {"units": "K", "long_name": "Température", "levels": [1, 2, 3], "cell_methods": "time: mean"}
    variables: dict[str, Any] = {
        "t": (axes, t, attributes),
        "rain": (axes, generator.gamma(1, 2, SHAPE), {"units": "mm"}),
        "ice": (axes, generator.random(SHAPE) > 0.5),
        "gain": ("time", np.arange(6.0)),
    }
    return xr.Dataset(variables, coordinates, {"title": "a test", "Conventions": "CF-1.11"})


def open_zarr(path: Path) -> xr.Dataset:
    return xr.open_zarr(path, consolidated=False).load()


def equal_but_for(back: xr.Dataset, data: xr.Dataset, names: list[str]) -> None:
    xr.testing.assert_identical(
        back.assign({name: back[name].copy(data=data[name].values) for name in names}), data
    )


def test_each_variable_keeps_its_own_target(tmp_path: Path) -> None:
    data = make_dataset()
    results = data.nvc.compress(tmp_path / "c.zarr", max_error={"t": 0.05}, pointwise_error={"rain": 0.01})
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.zarr"]
    back = open_zarr(tmp_path / "c.zarr")
    assert 0 < abs(back["t"] - data["t"]).max() <= 0.05
    assert 0 < (abs(back["rain"] - data["rain"]) / data["rain"]).max() <= 0.01
    equal_but_for(back, data, ["t", "rain"])  # and so the mask, which no target names, is exact
    assert results.keys() == {"t", "rain", "ice"}
    assert results["t"].target == {"max_error": 0.05}
    assert results["t"].location == tmp_path / "c.zarr" / "t"
    assert nvc_jax.info(tmp_path / "c.zarr" / "ice")["target"] == {"lossless": True}


def test_a_variable_alone_has_its_positions(tmp_path: Path) -> None:
    data = make_dataset()[["t"]]
    data.nvc.compress(tmp_path / "c.zarr", lossless=True)
    assert nvc_jax.open(tmp_path / "c.zarr" / "t").metadata.units == (
        "days since 2001-01-16 12:00:00",
        "degrees_north",
        "degrees_east",
    )
    nvc_jax.decompress(tmp_path / "c.zarr" / "t", f"{tmp_path}/out.zarr::t", region=np.s_[1:3, :, 4:])
    part = open_zarr(tmp_path / "out.zarr").drop_vars(["height", "area"], errors="ignore")
    xr.testing.assert_equal(
        part, data.isel(time=slice(1, 3), lon=slice(4, None)).drop_vars(["height", "area"])
    )


@pytest.mark.parametrize("is_lazy", [False, True])
def test_packed_variables_stay_packed_and_within_the_bound(is_lazy: bool, tmp_path: Path) -> None:
    data = make_dataset()[["t"]]
    data.to_netcdf(tmp_path / "in.nc", encoding={"t": PACKING})
    data = xr.open_dataset(tmp_path / "in.nc", chunks={"time": 2} if is_lazy else None)
    assert isinstance(data["t"].data, da.Array) == is_lazy
    data.nvc.compress(tmp_path / "exact.zarr", lossless=True)
    data.nvc.compress(tmp_path / "close.zarr", max_error=0.05)
    data = data.load()
    xr.testing.assert_identical(open_zarr(tmp_path / "exact.zarr"), data)
    back = open_zarr(tmp_path / "close.zarr")
    equal_but_for(back, data, ["t"])
    assert 0.01 < abs(back["t"] - data["t"]).max() <= 0.05 + 1e-5
    assert nvc_jax.info(tmp_path / "close.zarr" / "t")["dtype"] == "int16"
    for key, value in PACKING.items():
        assert back["t"].encoding[key] == value


@pytest.mark.parametrize("target", [{"lossless": True}, {"max_error": 1e-3}, {"pointwise_error": 0.1}])
def test_a_packing_that_breaks_the_target_is_refused(target: dict[str, Any], tmp_path: Path) -> None:
    data = make_dataset()
    data["t"].encoding = dict(PACKING)  # which suits none of its values
    with pytest.raises(ValueError, match=r"of `t` .*encoding\.clear"):
        data.nvc.compress(tmp_path / "c.zarr", **target)
    assert list(tmp_path.iterdir()) == []


def test_errors_name_the_variables_and_leave_nothing(tmp_path: Path) -> None:
    data = make_dataset()
    with pytest.raises(ValueError, match=r"`max_error` names 'q'; .* t, rain, ice"):
        data.nvc.compress(tmp_path / "c.zarr", max_error={"q": 1})
    with pytest.raises(ValueError, match="no variable of numbers"):
        data[["gain"]].nvc.compress(tmp_path / "c.zarr")
    with pytest.raises(ValueError, match="exclude each other"):
        data.nvc.compress(tmp_path / "c.zarr", max_error={"t": 1}, psnr={"t": 50})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "c.zarr").mkdir()
    (tmp_path / "c.zarr" / "mine").write_text("")
    with pytest.raises(FileExistsError):
        data.nvc.compress(tmp_path / "c.zarr", max_error=1)
