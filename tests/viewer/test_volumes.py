import threading
from pathlib import Path

import numpy as np
import pytest

import nvc_jax
from nvc_jax.viewer.volumes import Stopped, open_viewed, read_stoppable, share_missing_values


def test_a_container_has_two_levels_and_says_its_target(folder: Path) -> None:
    viewed = open_viewed(folder / "v.zarr")
    assert viewed.shape == (20, 24, 28)
    assert {name: level.store.shape for name, level in viewed.levels.items()} == {
        "full": (20, 24, 28),
        "preview": (3, 3, 4),
    }
    described = viewed.describe()
    assert described["facts"] == "container, max error 2"
    assert described["preview"] == [8, 8, 8]
    assert [axis["name"] for axis in described["axes"]] == ["z", "y", "x"]


def test_any_volume_is_shown_and_states_its_axes(tmp_path: Path) -> None:
    xr = pytest.importorskip("xarray")
    values = np.zeros((2, 3, 4, 5), np.int16)
    coordinates = {"lat": ("lat", [50.0, 45.0, 20.0, 0.0], {"units": "degrees_north"})}
    stated = {"scale_factor": 0.5, "add_offset": 10.0, "units": "K", "_FillValue": -9}
    array = xr.DataArray(values, dims=("time", "level", "lat", "lon"), coords=coordinates, attrs=stated)
    described = open_viewed(array).describe()
    assert described["preview"] is None
    assert described["spatial"] == [1, 2, 3]
    assert (described["scale_factor"], described["add_offset"], described["units"]) == (0.5, 10.0, "K")
    assert described["axes"][2]["values"] == [50.0, 45.0, 20.0, 0.0]
    assert described["axes"][2]["unit"] == "degrees_north"


def test_missing_values_of_a_container_are_those_of_its_original(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 16**3, dtype=np.float32).reshape(16, 16, 16)
    values[4:9] = -1e10
    nvc_jax.compress(values, tmp_path / "v.zarr", lossless=True)
    apart = [open_viewed(values), open_viewed(tmp_path / "v.zarr")]
    assert apart[0].mark_valid(values).all()
    for volume in share_missing_values(apart):
        np.testing.assert_array_equal(volume.mark_valid(values), values >= 0)


def test_regions_are_read_chunk_by_chunk_until_the_viewer_ends(folder: Path) -> None:
    viewed, stopping = open_viewed(folder / "v.zarr"), threading.Event()
    store, region = viewed.levels["full"].store, (slice(3, 20), slice(15, 17), slice(0, 28))
    np.testing.assert_array_equal(
        read_stoppable(store, region, stopping), nvc_jax.open(folder / "v.zarr")[region].read().result()
    )
    stopping.set()
    with pytest.raises(Stopped):
        read_stoppable(store, region, stopping)


def test_what_is_no_volume_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("1 2 3")
    with pytest.raises(ValueError, match=r"v\.txt"):
        open_viewed(tmp_path / "v.txt")
    with pytest.raises(FileNotFoundError, match="nothing"):
        open_viewed(tmp_path / "nothing.zarr")
