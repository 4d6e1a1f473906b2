"""A climate group's NetCDF: a variable with missing values and coordinates, compressed and opened by xarray.

pip install "nvc_jax[io,zarr]"
python examples/climate_netcdf.py
"""

import shutil

import numpy as np
import xarray
import zarr

import nvc_jax

MAX_ERROR = 0.05
"""Kelvin."""


def make_file(path: str) -> xarray.Dataset:
    """Write temperatures (time, lat, lon), float32, that are missing over the sea."""
    times = np.datetime64("2020-01-01", "ns") + np.arange(20) * np.timedelta64(1, "D")
    latitude, longitude = np.linspace(87, -87, 30), np.linspace(0, 355, 72)
    wave = 10 * np.sin(np.radians(longitude)) * np.cos(np.arange(20) / 3)[:, None, None]
    kelvin = 288 - 40 * np.sin(np.radians(latitude))[None, :, None] ** 2 + wave
    kelvin[:, :, 50:] = np.nan
    variable = (("time", "lat", "lon"), kelvin.astype(np.float32), {"units": "K"})
    dataset = xarray.Dataset({"t": variable}, {"time": times, "lat": latitude, "lon": longitude})
    dataset.to_netcdf(path, engine="scipy", encoding={"t": {"_FillValue": np.float32(-9999)}})
    return dataset


def main() -> None:
    original = make_file("air.nc")
    zarr.open_group("store.zarr", mode="w")
    result = nvc_jax.compress("air.nc::t", "store.zarr/t", max_error=MAX_ERROR)
    print(f"{result.ratio:.1f} times smaller, largest error {result.max_error:.3f} K")
    nvc_jax.verify("air.nc::t", "store.zarr/t")

    # xarray decodes what it reads, here one day of the tropics.
    lazy = xarray.open_zarr("store.zarr", consolidated=False)
    tropics = lazy.t[0, 10:20].mean("lon").compute()
    print(f"one day of the tropics: {float(tropics.min()):.1f} to {float(tropics.max()):.1f} K")

    # Or write it out again, with times, latitudes and attributes.
    shutil.rmtree("decoded.zarr", ignore_errors=True)  # a group of several arrays is never replaced
    nvc_jax.decompress("store.zarr/t", "decoded.zarr::t")
    decoded = xarray.open_zarr("decoded.zarr", consolidated=False)
    worst = float(np.abs(decoded.t - original.t).max())
    same = bool((decoded.time == original.time).all() and (decoded.t.isnull() == original.t.isnull()).all())
    print(f"largest difference {worst:.3f} K; the same times and missing values: {same}")


if __name__ == "__main__":
    main()
