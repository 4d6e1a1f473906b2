from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import nvc_jax


def make_array() -> xr.DataArray:
    """Values over uneven times, falling latitudes and longitudes, of which some are missing."""
    values = np.random.default_rng(0).normal(280, 5, (5, 8, 9)).astype(np.float32)
    values[0, 0, :3] = np.nan
    times = np.array([f"2001-{month:02d}-16T12" for month in range(1, 6)], "M8[ns]")
    coordinates = {
        "time": ("time", times, {"standard_name": "time"}),
        "lat": ("lat", np.linspace(70, -70, 8).astype(np.float32), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(9) * 40.0, {"units": "degrees_east"}),
    }
    return xr.DataArray(values, coordinates, ("time", "lat", "lon"), "t", {"units": "K"})


def test_a_group_has_the_coordinates_of_its_variable(tmp_path: Path) -> None:
    array = make_array()
    result = nvc_jax.compress(array, f"{tmp_path}/c.zarr::t", max_error=0.1)
    assert result.location == tmp_path / "c.zarr" / "t"
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.zarr"]
    back = xr.open_zarr(tmp_path / "c.zarr", consolidated=False).load()["t"]
    assert 0 < abs(back - array).max() <= 0.1
    xr.testing.assert_identical(back.copy(data=array.values), array)
    assert nvc_jax.verify(array, tmp_path / "c.zarr" / "t")["measured_max_error"] <= 0.1
    nvc_jax.decompress(tmp_path / "c.zarr" / "t", f"{tmp_path}/out.zarr::t")
    xr.testing.assert_identical(xr.open_zarr(tmp_path / "out.zarr", consolidated=False).load()["t"], back)


@pytest.mark.parametrize(("name", "options"), [("c.zarr::t", {}), ("c.ome.zarr", {"pyramid": True})])
def test_an_interrupted_run_keeps_nothing_and_does_not_say_so(
    name: str, options: dict, tmp_path: Path
) -> None:
    def stop(progress: nvc_jax.ByteProgress) -> None:
        if progress.done_bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as info:
        nvc_jax.compress(make_array(), f"{tmp_path}/{name}", lossless=True, on_progress=stop, **options)
    assert not hasattr(info.value, "__notes__")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("c.zarr::lat", {}, "name of an axis"),
        ("c.zarr::t", {"part": (0, 2)}, "one run writes as a whole"),
        ("c.zarr::t", {"resume": True}, "one run writes as a whole"),
        ("c.ome.zarr::t", {"pyramid": True}, "must be a path that ends"),
        ("c.zarr::", {}, "must be the name of a variable"),
    ],
)
def test_what_is_no_group_is_refused(name: str, options: dict, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=fault):
        nvc_jax.compress(make_array(), f"{tmp_path}/{name}", **options)
    assert list(tmp_path.iterdir()) == []
