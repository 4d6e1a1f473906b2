import contextlib
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import scipy.io
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.volumes import open_volume, read_metadata, read_volume
from nvc_jax.io.writers import write_volume

DIMENSIONS = ("level", "lat", "lon")


def _create(path: Path, version: int) -> Any:
    """Create a file by SciPy, or of version 5 by the library netCDF."""
    if version < 5:
        return scipy.io.netcdf_file(path, "w", version=version)
    file = netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_DATA")
    file.set_auto_maskandscale(False)
    return file


def _write(path: Path, version: int = 1, record: bool = False, **others: np.ndarray) -> None:
    """Write ``VOLUME`` with attributes and coordinates; its first dimension may be that of records."""
    with _create(path, version) as file:
        for name, side in zip(DIMENSIONS, VOLUME.shape, strict=True):
            file.createDimension(name, None if record and name == "level" else side)
        for name, start, step, unit in (
            ("level", 1, 2, "m"),
            ("lat", -7, 0.5, "deg"),
            ("lon", 5, 0.25, "deg"),
        ):
            scale = file.createVariable(name, "f8", (name,))
            scale[:] = start + step * np.arange(VOLUME.shape[DIMENSIONS.index(name)])
            scale.units = unit
        volume = file.createVariable("t", "i2", DIMENSIONS)
        volume[:] = VOLUME
        for attribute, value in (("missing_value", np.int16(-999)), ("scale_factor", 0.25), ("units", "K")):
            setattr(volume, attribute, value)
        for name, values in others.items():
            file.createVariable(name, values.dtype.char, DIMENSIONS)[:] = values


@pytest.mark.parametrize("version", [1, 2, 5])
@pytest.mark.parametrize("record", [False, True])
def test_variables_open_with_their_coordinates(version: int, record: bool, tmp_path: Path) -> None:
    _write(tmp_path / "v.nc", version, record)
    check_opens_as_written(tmp_path / "v.nc")
    metadata = read_metadata(tmp_path / "v.nc")
    assert metadata.dimension_names == DIMENSIONS
    assert (metadata.spacing, metadata.origin) == ((2, 0.5, 0.25), (1, -7, 5))
    assert metadata.units == ("m", "deg", "deg")
    assert metadata.attributes == {"missing_value": -999, "scale_factor": 0.25, "units": "K"}


@pytest.mark.parametrize("version", [1, 5])
@pytest.mark.parametrize("record", [False, True])
def test_one_of_several_variables_is_named(record: bool, version: int, tmp_path: Path) -> None:
    others: dict[str, Any] = {"u": VOLUME.astype("f4") / 7, "v": VOLUME.astype("i1")}
    _write(tmp_path / "v.nc", version, record, **others)
    for name, values in others.items():
        np.testing.assert_array_equal(read_volume(f"{tmp_path}/v.nc::{name}"), values, strict=True)
        np.testing.assert_array_equal(read_volume(f"{tmp_path}/v.nc::/{name}"), values, strict=True)
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=r"holds the variables t, u, v; name one as `.*v\.nc::t`"):
            read(tmp_path / "v.nc")
        with pytest.raises(ValueError, match="holds no variable `w`; name one that may be a volume: t, u, v"):
            read(f"{tmp_path}/v.nc::w")


def test_what_lacks_a_volume_is_named(tmp_path: Path) -> None:
    with scipy.io.netcdf_file(tmp_path / "v.nc", "w") as file:
        file.createDimension("x", 3)
        file.createVariable("x", "f4", ("x",))[:] = 1
    with pytest.raises(ValueError, match=r"no variable with 2 to 5 axes: `x` has shape \(3,\)"):
        open_volume(tmp_path / "v.nc")


@pytest.mark.parametrize("version", [1, 5])
@pytest.mark.parametrize("record", [False, True])
def test_truncated_files_are_named(record: bool, version: int, tmp_path: Path) -> None:
    path = tmp_path / "v.nc"
    _write(path, version, record)
    content = path.read_bytes()
    for damaged in (content[:-100], content[:50], content[:4], b"CDF", b"CDF\7" + content[4:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"v\.nc` is not a readable NetCDF file"):
            open_volume(path)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "uint32", "uint16", "uint8"])
def test_version_5_has_more_integers(dtype: str, tmp_path: Path) -> None:
    volume = VOLUME.astype(dtype)
    volume[0, 0, 0] = np.iinfo(dtype).max
    _write(tmp_path / "v.nc", 5, w=volume)
    np.testing.assert_array_equal(read_volume(f"{tmp_path}/v.nc::w"), volume, strict=True)


def test_damaged_headers_of_version_5_are_named(tmp_path: Path) -> None:
    _write(tmp_path / "v.nc", 5)
    content = (tmp_path / "v.nc").read_bytes()
    header, generator = content.index(VOLUME.astype(">i2").tobytes()), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[generator.integers(4, header)] = generator.choice([0, 1, 127, 255])
        (tmp_path / "v.nc").write_bytes(damaged)
        with contextlib.suppress(ValueError):
            open_volume(tmp_path / "v.nc")
            read_metadata(tmp_path / "v.nc")
    (tmp_path / "v.nc").write_bytes(content[:4] + b"\xff" * 8 + content[12:])
    with pytest.raises(ValueError, match="it was not closed"):
        open_volume(tmp_path / "v.nc")


def test_netcdf_4_is_hdf5(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.nc", VOLUME)
    check_opens_as_written(tmp_path / "v.nc")
    assert read_metadata(tmp_path / "v.nc").dimension_names == ("z", "y", "x")


def test_a_file_does_not_stay_mapped(tmp_path: Path) -> None:
    _write(tmp_path / "v.nc")
    open_volume(tmp_path / "v.nc").read().result()
    assert "v.nc" not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("dimensions", [("lat", "lon"), ("time", "lev", "lat", "lon")])
def test_variables_of_any_rank_open(version: int, dimensions: tuple[str, ...], tmp_path: Path) -> None:
    sides = {"time": 3, "lev": 2, "lat": 4, "lon": 5}
    values = np.arange(np.prod([sides[name] for name in dimensions]), dtype=np.float32)
    values = values.reshape([sides[name] for name in dimensions])
    with scipy.io.netcdf_file(tmp_path / "v.nc", "w", version=version) as file:
        for name in dimensions:
            file.createDimension(name, None if name == "time" else sides[name])
        if "time" in dimensions:
            time = file.createVariable("time", "f8", ("time",))
            time[:] = 6.0 * np.arange(3)
            time.units = "hours since 1900-01-01"
            file.createVariable("lat_bounds", "f4", ("lat", "lon"))[:] = 0
        file.createVariable("t", "f4", dimensions)[:] = values
    np.testing.assert_array_equal(read_volume(tmp_path / "v.nc"), values)
    metadata = read_metadata(tmp_path / "v.nc")
    assert metadata.dimension_names == dimensions
    if "time" in dimensions:
        assert metadata.spacing == (6.0, None, None, None)
        assert metadata.units == ("hours since 1900-01-01", None, None, None)
