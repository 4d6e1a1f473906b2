import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile

from nvc_jax.io.last_result import LastResult
from nvc_jax.io.volumes import open_volume, read_metadata

PLANES = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def test_a_result_is_handed_out_once_more(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    calls: list[Path] = []
    last: LastResult[int] = LastResult()

    def take(path: Path) -> int:
        return last.take(path, lambda: calls.append(path) or len(calls))  # type: ignore[func-returns-value]

    assert [take(tmp_path) for _ in range(4)] == [1, 1, 2, 2]
    assert (take(tmp_path / "a"), take(tmp_path / "b"), take(tmp_path / "a")) == (3, 4, 5)
    (tmp_path / "a").write_text("changed")
    assert take(tmp_path / "a") == 6
    os.utime(tmp_path / "a", ns=(0, 0))
    assert take(tmp_path / "a") == 7


def write_dicom(path: Path, z: int) -> None:
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = pydicom.uid.CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = f"1.2.{z + 1}"
    data.InstanceNumber, data.Rows, data.Columns = z, 3, 4
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelData = PLANES[z].tobytes()
    data.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("suffix", [".tif", ".dcm"])
def test_headers_of_folders_are_read_once(suffix: str, tmp_path: Path) -> None:
    """A file that is damaged meanwhile is not opened again by the reader of metadata."""
    for z, plane in enumerate(PLANES):
        path = tmp_path / f"{z}{suffix}"
        tifffile.imwrite(path, plane) if suffix == ".tif" else write_dicom(path, z)
    np.testing.assert_array_equal(open_volume(tmp_path).read().result(), PLANES)
    times = (tmp_path / f"1{suffix}").stat()
    content = (tmp_path / f"1{suffix}").read_bytes()
    with (tmp_path / f"1{suffix}").open("r+b") as file:  # the same by all that is compared
        file.write(bytes(len(content)))
    os.utime(tmp_path / f"1{suffix}", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert read_metadata(tmp_path).dimension_names == ("z", "y", "x")
    with pytest.raises(ValueError, match="not a readable"):
        read_metadata(tmp_path)
