from collections.abc import Callable
from pathlib import Path

import h5py
import metaimageio
import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
import tifffile

from nvc_jax.io.formats import FORMATS
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume
from nvc_jax.io.writers import write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def test_every_suffix_belongs_to_one_format() -> None:
    suffixes = [suffix for file_format in FORMATS for suffix in file_format.suffixes]
    assert len(suffixes) == len(set(suffixes))


def test_unknown_suffixes_are_named(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("no volume")
    for read in (open_volume, read_metadata):
        with pytest.raises(ValueError, match=r"suffix must be one of \.npy, .*\.nii\.gz, .*\.zarr"):
            read(tmp_path / "v.txt")


def test_missing_files_are_named(tmp_path: Path) -> None:
    for read in (open_volume, read_metadata):
        with pytest.raises(FileNotFoundError, match=r"nothing\.npy` does not exist"):
            read(tmp_path / "nothing.npy")


def test_relative_paths_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "v.npy", VOLUME)
    monkeypatch.chdir(tmp_path)
    store = open_volume("v.npy")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(store.read().result(), VOLUME)


def test_urls_of_files_are_read(tmp_path: Path) -> None:
    write_volume(tmp_path / "a v.npy", VOLUME)
    np.testing.assert_array_equal(read_volume(f"file://{tmp_path}/a%20v.npy"), VOLUME)


def test_colons_separate_datasets_only_in_formats_that_have_them(tmp_path: Path) -> None:
    write_volume(tmp_path / "a::v.npy", VOLUME)
    np.testing.assert_array_equal(read_volume(tmp_path / "a::v.npy"), VOLUME)
    with pytest.raises(FileNotFoundError, match=r"v\.npy::/a` does not exist"):
        open_volume(f"{tmp_path}/v.npy::/a")


def _write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["volume"] = VOLUME


def _write_dicom(path: Path) -> None:
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = pydicom.uid.CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    data.NumberOfFrames, data.Rows, data.Columns = VOLUME.shape
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelData = VOLUME.tobytes()
    data.save_as(path, enforce_file_format=True)


WRITERS: dict[str, Callable[[Path], object]] = {
    ".npy": lambda path: write_volume(path, VOLUME),
    ".npz": lambda path: write_volume(path, VOLUME),
    "_4x3x2_uint16.raw": lambda path: write_volume(path, VOLUME),
    ".nii": lambda path: nibabel.save(nibabel.Nifti1Image(VOLUME.T, np.eye(4)), path),
    ".nii.gz": lambda path: nibabel.save(nibabel.Nifti1Image(VOLUME.T, np.eye(4)), path),
    **dict.fromkeys((".mgh", ".mgz"), lambda path: write_volume(path, VOLUME)),
    ".mha": lambda path: write_volume(path, VOLUME),
    ".mhd": lambda path: metaimageio.write(path, VOLUME),
    ".nrrd": lambda path: nrrd.write(str(path), VOLUME, index_order="C"),
    ".nhdr": lambda path: nrrd.write(str(path), VOLUME, index_order="C"),
    **dict.fromkeys((".mrc", ".map", ".rec", ".st"), lambda path: write_volume(path, VOLUME)),
    ".tif": lambda path: tifffile.imwrite(path, VOLUME),
    ".tiff": lambda path: tifffile.imwrite(path, VOLUME),
    **dict.fromkeys((".h5", ".hdf5", ".nc"), _write_hdf5),
    **dict.fromkeys((".dcm", ".dicom", ".ima"), _write_dicom),
}


def test_suffixes_may_be_in_upper_case(tmp_path: Path) -> None:
    """As microscopes and scanners write them."""
    assert {suffix[suffix.index(".") :] for suffix in WRITERS} == {
        suffix for file_format in FORMATS for suffix in file_format.suffixes
    }
    for suffix, write in WRITERS.items():
        write(tmp_path / f"lower{suffix}")
        upper = tmp_path / f"V{suffix.upper()}"
        (tmp_path / f"lower{suffix}").rename(upper)
        np.testing.assert_array_equal(read_volume(upper), VOLUME)
        read_metadata(upper)
    np.testing.assert_array_equal(read_volume(f"{tmp_path}/V.H5::/volume"), VOLUME)
    for name in ("W.NPY", "W.NPZ", "W_4X3X2_UINT16.RAW", "W.ZARR"):
        write_volume(tmp_path / name, VOLUME)
        np.testing.assert_array_equal(read_volume(tmp_path / name), VOLUME)


def test_links_to_files_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "1a2b3c").write_bytes(b"")
    np.save(tmp_path / "v.npy", VOLUME)
    (tmp_path / "v.npy").replace(tmp_path / "1a2b3c")
    (tmp_path / "v.npy").symlink_to("1a2b3c")
    np.testing.assert_array_equal(read_volume(tmp_path / "v.npy"), VOLUME)
