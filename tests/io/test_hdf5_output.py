from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
from volume_files import FILE_VOLUME as VOLUME

from nvc_jax.core.dtypes import DTYPES
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import read_metadata, read_volume
from nvc_jax.io.writers import write_volume


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype != "bfloat16"])
def test_h5py_reads_what_is_written(dtype: str, tmp_path: Path) -> None:
    values = (VOLUME % 100).astype(dtype)
    for suffix in (".h5", ".hdf5", ".nc"):
        write_volume(tmp_path / f"v{suffix}", values)
        with h5py.File(tmp_path / f"v{suffix}") as file:
            assert list(file) == (["volume", "x", "y", "z"] if suffix == ".nc" else ["volume"])
            np.testing.assert_array_equal(file["volume"][()], values, strict=True)
        np.testing.assert_array_equal(read_volume(tmp_path / f"v{suffix}"), values, strict=True)


METADATA = VolumeMetadata(
    ("depth", "lat", "lon"),
    (3.0, 0.5, 0.25),
    (9.0, -7.0, 5.0),
    ("m", "degrees_north", "degrees_east"),
    {
        "scale_factor": 0.25,
        "add_offset": -3.0,
        "units": "K",
        "valid_range": [-100, 100],
        "flags": ["a", "b"],
        "affine": [[1.0, 0.0], [0.0, 1.0]],
        "nested": {"a": [1, None]},
    },
    (-999.0,),
)


def test_coordinates_and_attributes_are_those_of_netcdf(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.nc", VOLUME, metadata=METADATA)
    with h5py.File(tmp_path / "v.nc") as file:
        dataset = file["volume"]
        np.testing.assert_array_equal(file["lat"], -7 + 0.5 * np.arange(6))
        assert file["lon"].attrs["units"] == "degrees_east"
        assert dataset.dims[0][0].name == "/depth"
        assert (dataset.attrs["scale_factor"], dataset.attrs["units"]) == (0.25, "K")
        assert dataset.attrs["nested"] == '{"a": [1, null]}'
        for name, value in (("_FillValue", -999), ("valid_range", [-100, 100])):
            np.testing.assert_array_equal(dataset.attrs[name], np.array(value, np.int16), strict=True)
    kept = read_metadata(tmp_path / "v.nc")
    for name in ("dimension_names", "spacing", "origin", "units"):
        assert getattr(kept, name) == getattr(METADATA, name)
    assert kept.attributes == METADATA.attributes | {"nested": '{"a": [1, null]}', "_FillValue": -999}
    write_volume(tmp_path / "w.nc", VOLUME, metadata=kept)
    assert read_metadata(tmp_path / "w.nc") == kept


def test_the_library_of_netcdf_opens_attributes_of_any_form(tmp_path: Path) -> None:
    attributes = {
        "table": [[1.5, 2], [3, 4]],
        "names": [["a"], ["b", None]],
        "flag": True,
        "flags": [True, False],
    }
    coordinates = {"z": {"dtype": "int64", "values": [5, 4, 1], "attributes": {"m": [[1], [2]], "f": True}}}
    stated = VolumeMetadata(tuple("zyx"), attributes={**attributes, "axis_coordinates": coordinates})
    write_volume(tmp_path / "v.nc", np.zeros((3, 4, 5), np.float32), metadata=stated)
    with netCDF4.Dataset(tmp_path / "v.nc") as file:
        variable = file["volume"]
        assert variable.getncattr("table") == "[[1.5, 2], [3, 4]]"
        assert (variable.flag, list(variable.flags)) == (1, [1, 0])
        assert (file["z"].m, file["z"].f, list(file["z"][:])) == ("[[1], [2]]", 1, [5, 4, 1])
    kept = read_metadata(tmp_path / "v.nc").attributes
    assert (kept["table"], kept["names"]) == (attributes["table"], attributes["names"])
    write_volume(tmp_path / "v.h5", np.zeros((3, 4, 5), np.float32), metadata=stated)
    assert read_metadata(tmp_path / "v.h5").attributes["flag"] is True


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("int64", 2**53 + 1),
        ("int64", 2**63 - 1),
        ("int64", -(2**63)),
        ("uint64", 2**64 - 1),
        ("float16", 1e9),
    ],
)
def test_missing_values_do_not_change(dtype: str, fill: float, tmp_path: Path) -> None:
    limits = [0, fill] if isinstance(fill, int) and fill > 0 else [0, 5]
    attributes = {"_FillValue": fill, "missing_value": [fill, 3], "valid_range": limits}
    write_volume(tmp_path / "v.nc", VOLUME.astype(dtype), metadata=VolumeMetadata(attributes=attributes))
    with h5py.File(tmp_path / "v.nc") as file:
        for name, value in attributes.items():
            with np.errstate(over="ignore"):
                expected = np.array(value).astype(dtype) if dtype == "float16" else np.array(value, dtype)
            np.testing.assert_array_equal(file["volume"].attrs[name], expected, strict=True)


def test_numbers_that_the_dtype_has_not_stay_as_they_are(tmp_path: Path) -> None:
    attributes = {"_FillValue": -1, "valid_min": 0.5, "valid_max": "none"}
    write_volume(tmp_path / "v.h5", VOLUME.astype("uint8"), metadata=VolumeMetadata(attributes=attributes))
    with h5py.File(tmp_path / "v.h5") as file:
        assert {name: file["volume"].attrs[name] for name in attributes} == attributes


def test_attributes_do_not_pass_for_links_between_datasets(tmp_path: Path) -> None:
    links = {"DIMENSION_LIST": "x", "REFERENCE_LIST": "y", "_Netcdf4Dimid": 3, "CLASS": "DIMENSION_SCALE"}
    own = {"NAME": "knee"}
    metadata = VolumeMetadata(("z", "y", "x"), (1.0, 2.0, 3.0), attributes=links | own)
    for name in ("v.nc", "v.h5"):
        write_volume(tmp_path / name, VOLUME, metadata=metadata)
        kept = read_metadata(tmp_path / name)
        assert (kept.attributes, kept.spacing) == (own, metadata.spacing)
    write_volume(tmp_path / "w.h5", VOLUME, metadata=VolumeMetadata(attributes={"CLASS": "IMAGE"}))
    assert read_metadata(tmp_path / "w.h5").attributes == {"CLASS": "IMAGE"}


def test_xarray_reads_what_is_written(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    write_volume(tmp_path / "v.nc", VOLUME, metadata=METADATA)
    with xarray.open_dataset(tmp_path / "v.nc", engine="h5netcdf", mask_and_scale=False) as opened:
        np.testing.assert_array_equal(opened["volume"].values, VOLUME)
        assert opened["volume"].dims == ("depth", "lat", "lon")


@pytest.mark.parametrize("names", [("x", "x", "x"), ("a/b", "y", "x"), ("volume", "y", "x")])
def test_names_that_no_dataset_can_have_stay_labels(names: tuple[str, str, str], tmp_path: Path) -> None:
    write_volume(tmp_path / "v.h5", VOLUME, metadata=VolumeMetadata(names, (1.0, 2.0, 3.0)))
    kept = read_metadata(tmp_path / "v.h5::/volume")
    assert (kept.dimension_names, kept.spacing) == (names, (1, 2, 3))
