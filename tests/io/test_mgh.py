import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.freesurfer import MGHImage
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume
from nvc_jax.io.writers import write_volume

CONFORMED = np.array([[-1, 0, 0, 128], [0, 0, 1, -128], [0, -1, 0, 128], [0, 0, 0, 1.0]])
"""Affine of FreeSurfer's conformed volumes, whose axes are permuted."""
NAMES = pytest.mark.parametrize("name", ["v.mgh", "v.mgz", "v.MGZ"])


@NAMES
def test_files_open_with_their_axes_z_y_x(name: str, tmp_path: Path) -> None:
    image = MGHImage(VOLUME.T, CONFORMED)
    image.header["te"] = 2.5
    nibabel.save(image, tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    check_opens_as_written(tmp_path / name)
    metadata = read_metadata(tmp_path / name)
    assert (metadata.spacing, metadata.origin, metadata.units) == ((1, 1, 1), None, ("mm",) * 3)
    np.testing.assert_array_equal(metadata.attributes["affine"], CONFORMED)
    assert metadata.attributes["mgh"]["te"] == 2.5


@NAMES
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32"])
def test_nibabel_reads_what_is_written(name: str, dtype: str, tmp_path: Path) -> None:
    values = VOLUME.astype(dtype)
    attributes = {"affine": CONFORMED.tolist(), "mgh": {"te": 2.5, "tr": "none"}}
    write_volume(tmp_path / name, values, metadata=VolumeMetadata(attributes=attributes))
    content = (tmp_path / name).read_bytes()
    image = MGHImage.from_bytes(content if name == "v.mgh" else gzip.decompress(content))
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), values.T)
    np.testing.assert_array_equal(image.affine, CONFORMED)
    assert image.header["te"] == 2.5
    np.testing.assert_array_equal(read_volume(tmp_path / name), values, strict=True)


def test_positions_are_in_millimetres(tmp_path: Path) -> None:
    metadata = VolumeMetadata(None, (3000.0, 2000.0, 500.0), (9000.0, -7000.0, 5000.0), ("um", "um", "um"))
    write_volume(tmp_path / "v.mgh", VOLUME, metadata=metadata)
    kept = read_metadata(tmp_path / "v.mgh")
    assert (kept.spacing, kept.origin) == ((3, 2, 0.5), (9, -7, 5))


def test_broken_files_and_other_dtypes_are_named(tmp_path: Path) -> None:
    (tmp_path / "v.mgz").write_bytes(b"no volume")
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=r"v\.mgz` is not a readable MGH file"):
            read(tmp_path / "v.mgz")
    with pytest.raises(TypeError, match="MGH cannot hold int8; it holds uint8, "):
        write_volume(tmp_path / "w.mgz", VOLUME.astype(np.int8))


def test_a_series_has_an_axis_of_time(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 4 * 5, dtype=np.int32).reshape(2, 3, 4, 5)
    nibabel.save(nibabel.MGHImage(values.T, np.diag([0.5, 2, 3, 1])), tmp_path / "v.mgz")
    np.testing.assert_array_equal(read_volume(tmp_path / "v.mgz"), values)
    metadata = read_metadata(tmp_path / "v.mgz")
    assert metadata.dimension_names == ("t", "z", "y", "x")
    assert metadata.spacing == (None, 3.0, 2.0, 0.5)
