from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nvc_jax.io.coordinates import read_coordinates
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.raw import RawFile
from nvc_jax.io.selection import Selection, find_selection, unselected
from nvc_jax.io.volumes import describe_level, open_volume, read_metadata, read_volume
from nvc_jax.io.writers import write_volume

SERIES = np.arange(6 * 2 * 3 * 4 * 5, dtype=np.int16).reshape(6, 2, 3, 4, 5)
METADATA = VolumeMetadata(
    ("time", "c", "z", "y", "x"),
    (2.0, None, 3.0, 0.5, 0.25),
    (10.0, None, 0.0, 0.0, 0.0),
    ("s", None, "mm", "mm", "mm"),
)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    write_volume(tmp_path / "v.zarr", SERIES, metadata=METADATA)
    return tmp_path / "v.zarr"


@pytest.mark.parametrize(
    ("parts", "index"),
    [
        ("time=3:5,c=0", np.s_[3:5, 0]),
        ("t=3:5,C=1", np.s_[3:5, 1]),
        ("0=3:5, 1=0", np.s_[3:5, 0]),
        ("t=4", np.s_[4]),
        ("t=:2,x=1:", np.s_[:2, ..., 1:]),
        ({"time": 0, 4: slice(1, 3)}, np.s_[0, ..., 1:3]),
    ],
)
def test_a_part_is_named_by_axes_or_their_positions(parts: Any, index: Any, series: Path) -> None:
    np.testing.assert_array_equal(read_volume(Selection(series, parts)), SERIES[index])
    if isinstance(parts, str):
        np.testing.assert_array_equal(read_volume(f"{series}[{parts}]"), SERIES[index])
    assert set(open_volume(Selection(series, parts)).domain.origin) == {0}


def test_a_part_keeps_the_metadata_of_its_axes(series: Path) -> None:
    part = read_metadata(f"{series}[t=3:5,c=1,z=1:]")
    assert part.dimension_names == ("time", "z", "y", "x")
    assert part.spacing == (2.0, 3.0, 0.5, 0.25)
    assert part.origin == (16.0, 3.0, 0.0, 0.0)
    assert part.units == ("s", "mm", "mm", "mm")
    one = read_metadata(f"{series}[t=3,c=1]")
    assert (one.dimension_names, one.spacing) == (("z", "y", "x"), (3.0, 0.5, 0.25))
    assert read_metadata(Selection(SERIES, "0=1")) == VolumeMetadata()


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ("q=1", r"no axis `q`; the volume has the axes time \(6\), c \(2\), z \(3\), y \(4\), x \(5\)"),
        ("7=1", "no axis `7`"),
        ("t=6", r"part of `t` \(=6\) must lie within 0:6"),
        ("t=3:9", r"part of `t` \(=3:9\) must lie within 0:6"),
        ("t=3:3", "not be empty"),
        ("t", "must name parts of axes, such as t=3:9,c=0; `t` is none"),
        ("t=", "must name parts"),
        ("t=-1", "must name parts"),
        ("t=1:4:2", "must name parts"),
        ("t=1,t=2", "names the axis `t` twice"),
        ("t=1,0=2", "names the axis `time` twice"),
        ("", "must name parts"),
        ({"t": slice(0, 4, 2)}, "have no step"),
        ("t=0,c=0,z=0,y=0", "2 to 5 axes"),
    ],
)
def test_wrong_parts_are_named(parts: Any, fault: str, series: Path) -> None:
    with pytest.raises(ValueError, match=fault):
        open_volume(Selection(series, parts))


def test_parts_are_numbers_or_slices(series: Path) -> None:
    for part in (True, 1.5, "1:2", None):
        with pytest.raises(TypeError, match="must be a number or a slice"):
            open_volume(Selection(series, {"t": part}))  # type: ignore[dict-item]


def test_a_file_of_that_very_name_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "v[t=1].npy"
    write_volume(path, SERIES)
    assert find_selection(path) == path
    np.testing.assert_array_equal(read_volume(path), SERIES)
    np.testing.assert_array_equal(read_volume(f"{path}[0=1]"), SERIES[1])
    assert unselected(f"{path}[0=1]") == str(path)
    assert unselected(SERIES) is SERIES


def test_a_part_of_any_source_is_taken(tmp_path: Path) -> None:
    (tmp_path / "v.i16").write_bytes(SERIES.astype("<i2").tobytes())
    raw = RawFile(tmp_path / "v.i16", SERIES.shape)
    nested = Selection(Selection(raw, "0=2"), "0=1")
    np.testing.assert_array_equal(read_volume(nested), SERIES[2, 1])
    assert unselected(nested) == raw


def test_a_part_of_a_file_is_no_level_of_an_image(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros((3, 4, 5), np.float32))
    assert describe_level(f"{tmp_path}/v.npy[0=1:2]") is None


def test_a_part_keeps_the_coordinates_of_its_axes() -> None:
    xarray = pytest.importorskip("xarray")
    coordinates = {"time": [0, 1, 4, 9], "lat": [60.0, 30.0, 0.0], "lon": [0.0, 1.0, 3.0]}
    array = xarray.DataArray(
        np.zeros((4, 3, 3, 3)), {**coordinates, "level": [1.0, 2.0, 8.0]}, ["time", "level", "lat", "lon"]
    )
    selected = Selection(array, "time=1:3,level=2")
    metadata, store = read_metadata(selected), open_volume(selected)
    time, lat, lon = read_coordinates(metadata.attributes, metadata.complete_names(3), store.shape)
    np.testing.assert_array_equal(time.values, [1, 4])
    np.testing.assert_array_equal(lat.values, coordinates["lat"])
    np.testing.assert_array_equal(lon.values, coordinates["lon"])
