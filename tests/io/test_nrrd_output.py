from pathlib import Path

import nrrd
import numpy as np
import pytest
from volume_files import FILE_VOLUME as VOLUME

from nvc_jax.io.declared_values import read_declared_values
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import read_metadata, read_volume
from nvc_jax.io.writers import write_volume


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
)
def test_pynrrd_reads_what_is_written(dtype: str, tmp_path: Path) -> None:
    values = VOLUME.astype(dtype)
    write_volume(tmp_path / "v.nrrd", values)
    read, header = nrrd.read(str(tmp_path / "v.nrrd"), index_order="C")
    np.testing.assert_array_equal(read, values, strict=True)
    assert "space directions" not in header
    np.testing.assert_array_equal(read_volume(tmp_path / "v.nrrd"), values, strict=True)


def test_metadata_are_fields_and_pairs(tmp_path: Path) -> None:
    path = tmp_path / "v.nrrd"
    metadata = VolumeMetadata(
        ("depth", "y", "x"),
        (3.0, 2.0, 0.5),
        (9.0, -7.0, 5.0),
        ("µm", "um", "Å"),
        {
            "long name": "a lung",
            "title": "müde",
            "scale_factor": 0.25,
            "units": "K",
            "a:b": [1],
            "content": "CT",
        },
        (-999.0,),
    )
    write_volume(path, VOLUME, metadata=metadata)
    header = nrrd.read_header(str(path))
    np.testing.assert_array_equal(header["space directions"], np.diag([0.5, 2, 3]))
    np.testing.assert_array_equal(header["space origin"], [5, -7, 9])
    assert header["space units"] == ["Angstrom", "um", "um"]
    assert header["labels"] == ["x", "y", "depth"]
    assert (header["long name"], header["content"], header["scale_factor"]) == ("a lung", "CT", "0.25")
    assert (header["title"], header["_FillValue"]) == (r'"m\u00fcde"', "-999")
    assert header["further attributes"] == '{"units": "K", "a:b": [1]}'
    kept = read_metadata(path)
    assert (kept.dimension_names, kept.spacing, kept.origin) == (("depth", "y", "x"), (3, 2, 0.5), (9, -7, 5))
    assert kept.units == ("um", "um", "Angstrom")


def test_fields_of_nrrd_come_back(tmp_path: Path) -> None:
    header = {
        "encoding": "gzip",
        "space": "left-posterior-superior",
        "space directions": np.array([[0, 0.5, 0], [-2, 0, 0], [0, 0, 3]]),
        "space origin": np.array([10.0, 20.0, 30.0]),
        "space units": ["mm", "mm", "um"],
        "kinds": ["domain", "space", "domain"],
        "centerings": ["cell", "node", "cell"],
        "labels": ["i", "j", "k"],
        "measurement frame": np.eye(3),
        "sample units": "HU",
        "patient": "none",
    }
    nrrd.write(str(tmp_path / "v.nrrd"), VOLUME, header, index_order="C")
    write_volume(tmp_path / "w.nrrd", VOLUME, metadata=read_metadata(tmp_path / "v.nrrd"))
    written = nrrd.read_header(str(tmp_path / "w.nrrd"))
    for name in header.keys() - {"encoding"}:
        np.testing.assert_array_equal(written[name], header[name])
    assert read_metadata(tmp_path / "w.nrrd") == read_metadata(tmp_path / "v.nrrd")


def test_attributes_that_are_no_text_are_understood_again(tmp_path: Path) -> None:
    attributes = {"units": "K", "a:b": [1], "é": "x", "valid_range": [0, 100], "missing_value": [-9, 300]}
    metadata = VolumeMetadata(None, (3.0, 2.0, 0.5), None, ("mm",) * 3, attributes)
    write_volume(tmp_path / "v.nrrd", VOLUME, metadata=metadata)
    kept = read_metadata(tmp_path / "v.nrrd")
    assert kept.units == ("mm",) * 3
    assert kept.attributes.items() >= {"units": "K", "a:b": [1], "é": "x"}.items()
    assert "further attributes" not in kept.attributes
    declared = read_declared_values(kept.attributes, kept.missing_values, VOLUME.dtype)
    assert declared == ((-9.0, 300.0), (0.0, 100.0))
    write_volume(tmp_path / "w.nrrd", VOLUME, metadata=kept)
    assert read_metadata(tmp_path / "w.nrrd") == kept


def test_equal_volumes_make_equal_files(tmp_path: Path) -> None:
    for name in ("v.nrrd", "w.nrrd"):
        write_volume(tmp_path / name, VOLUME)
    assert (tmp_path / "v.nrrd").read_bytes() == (tmp_path / "w.nrrd").read_bytes()
    assert b"# on" not in (tmp_path / "v.nrrd").read_bytes()
