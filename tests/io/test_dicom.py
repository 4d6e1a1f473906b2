import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from volume_files import FILE_VOLUME as VOLUME
from volume_files import check_opens_as_written

from nvc_jax.io.volumes import open_volume, read_metadata, read_volume

ORDER = (3, 0, 4, 1, 2)
"""Planes in the order of their files' names, which is not that of their positions."""


def _write(
    folder: Path,
    name: str,
    z: int,
    values: np.ndarray = VOLUME,
    syntax: str = pydicom.uid.ExplicitVRLittleEndian,
    **tags: Any,
) -> None:
    """Write a plane as a file of DICOM at a height of 3 mm times ``z``."""
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = pydicom.uid.CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = f"1.2.3.{z + 1}"
    data.SeriesInstanceUID, data.PatientName, data.Modality = "1.2.3", "Doe^Jane", "CT"
    data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [10, 20, 3 * z]
    data.PixelSpacing, data.SliceThickness, data.InstanceNumber = [2, 0.5], 3, 99 - z
    data.Rows, data.Columns = values.shape[1:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 * values.dtype.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(values.dtype.kind == "i")
    data.RescaleSlope, data.RescaleIntercept = 2, -1024
    for tag, value in tags.items():
        if value is None:
            del data[tag]
        else:
            setattr(data, tag, value)
    if "NumberOfFrames" in data and name.startswith("frames"):
        values = values.astype(values.dtype.newbyteorder("<"))
        if syntax == pydicom.uid.RLELossless:
            data.PixelData = values[list(ORDER)].tobytes()
            data.compress(syntax)
        else:
            data.file_meta.TransferSyntaxUID = syntax
            data.PixelData = values[list(ORDER)].tobytes()
    else:
        data.PixelData = values[z].tobytes()
    data.save_as(folder / name, enforce_file_format=True)


def _write_frames(folder: Path, **tags: Any) -> Path:
    """Write all planes as frames of one file, in an order that is not that of their positions."""
    _write(folder, "frames.dcm", 0, **{"NumberOfFrames": len(VOLUME), "ImagePositionPatient": None} | tags)
    return folder / "frames.dcm"


def _item(sequence: str, **tags: Any) -> dict[str, Any]:
    """Make the attribute of a functional group."""
    group = pydicom.Dataset()
    for tag, value in tags.items():
        setattr(group, tag, value)
    return {sequence: [group]}


def _enhanced(
    places: Sequence[float] = tuple(3 * z for z in ORDER), slope: Sequence[float] = (2,) * 5
) -> dict[str, Any]:
    """Make the attributes of an enhanced CT: facts that the frames share, and those of each."""
    shared, per_frame = pydicom.Dataset(), []
    for name, items in (
        _item("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
        | _item("PixelMeasuresSequence", PixelSpacing=[2, 0.5], SliceThickness=3)
    ).items():
        setattr(shared, name, items)
    for place, factor in zip(places, slope, strict=True):
        frame = pydicom.Dataset()
        frame.PlanePositionSequence = _item("_", ImagePositionPatient=[10, 20, place])["_"]
        frame.PixelValueTransformationSequence = _item("_", RescaleSlope=factor, RescaleIntercept=-1024)["_"]
        per_frame.append(frame)
    top = dict.fromkeys(
        ("ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept")
    )
    return top | {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": per_frame}


def _write_all(folder: Path, suffix: str = ".dcm", **tags: Any) -> None:
    for index, z in enumerate(ORDER):
        _write(folder, f"{index}{suffix}", z, **tags)


@pytest.mark.parametrize("suffix", [".dcm", "", ".IMA", ".1"])
def test_planes_are_sorted_by_their_positions(suffix: str, tmp_path: Path) -> None:
    _write_all(tmp_path, suffix)
    (tmp_path / "notes.txt").write_text("no plane")
    check_opens_as_written(tmp_path)


def test_metadata_are_those_of_the_volume_and_not_of_the_patient(tmp_path: Path) -> None:
    _write_all(tmp_path, PixelPaddingValue=-2000)
    metadata = read_metadata(tmp_path)
    assert (metadata.spacing, metadata.units) == ((3, 2, 0.5), ("mm",) * 3)
    assert metadata.missing_values == (-2000,)
    assert metadata.attributes.items() >= {"scale_factor": 2, "add_offset": -1024}.items()
    affine = [[-0.5, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(metadata.attributes["affine"], affine)
    assert metadata.attributes["dicom"]["Modality"] == "CT"
    assert "Doe" not in str(metadata)


@pytest.mark.parametrize("syntax", [pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.RLELossless])
def test_frames_of_a_file_are_planes(syntax: str, tmp_path: Path) -> None:
    _write_all(tmp_path)
    series = read_metadata(tmp_path)
    folder = tmp_path / "enhanced"
    folder.mkdir()
    path = _write_frames(folder, syntax=syntax, **_enhanced())
    for source in (path, folder):
        check_opens_as_written(source)
        metadata = read_metadata(source)
        assert (metadata.spacing, metadata.units) == ((3, 2, 0.5), ("mm",) * 3)
        assert metadata.attributes["affine"] == series.attributes["affine"]
        assert metadata.attributes.items() >= {"scale_factor": 2, "add_offset": -1024}.items()
    path.rename(folder / "1.2.840.10008")
    check_opens_as_written(folder / "1.2.840.10008")


def test_doses_have_the_positions_of_their_offsets(tmp_path: Path) -> None:
    offsets = {"GridFrameOffsetVector": [3 * z - 9 for z in ORDER], "ImagePositionPatient": [10, 20, 9]}
    dose = {"DoseGridScaling": 0.25, "RescaleSlope": None, "RescaleIntercept": None}
    path = _write_frames(tmp_path, **offsets, **dose)
    check_opens_as_written(path)
    metadata = read_metadata(path)
    assert metadata.attributes["scale_factor"] == 0.25
    affine = [[-0.5, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(metadata.attributes["affine"], affine)


def test_frames_without_positions_stay_in_order(tmp_path: Path) -> None:
    path = _write_frames(tmp_path)
    np.testing.assert_array_equal(read_volume(path), VOLUME[list(ORDER)])
    assert read_metadata(path).spacing is None


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (
            _enhanced(places=(0, 3, 0, 3, 6)),
            r"planes lie at one place.*5 planes, 3 places; convert it to a NIfTI",
        ),
        (_enhanced(slope=(2, 2, 2, 2, 4)), r"RescaleSlope differs: `frames\.dcm, frame 4` has 2"),
    ],
)
def test_frames_of_several_volumes_are_refused(tags: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        open_volume(_write_frames(tmp_path, **tags))


def test_one_plane_is_a_volume_too(tmp_path: Path) -> None:
    _write(tmp_path, "0.dcm", 2)
    np.testing.assert_array_equal(read_volume(tmp_path / "0.dcm"), VOLUME[2:3])
    assert read_metadata(tmp_path / "0.dcm").spacing == (3, 2, 0.5)


def test_uneven_planes_have_no_spacing(tmp_path: Path) -> None:
    for z in (0, 1, 3):
        _write(tmp_path, f"{z}.dcm", z)
    fault = r"planes lie 3 to 6 mm apart, .* between `1\.dcm` and `3\.dcm`: add them"
    with pytest.warns(UserWarning, match=fault):
        metadata = read_metadata(tmp_path)
    assert metadata.spacing is None
    assert "affine" not in metadata.attributes
    np.testing.assert_array_equal(read_volume(tmp_path), VOLUME[[0, 1, 3]])


def test_planes_without_positions_are_sorted_by_number(tmp_path: Path) -> None:
    _write_all(tmp_path, ImagePositionPatient=None)
    np.testing.assert_array_equal(read_volume(tmp_path), VOLUME[::-1])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_dtypes_are_those_of_the_stored_integers(dtype: str, tmp_path: Path) -> None:
    values = VOLUME[:, :, :6].astype(dtype)
    for z in range(2):
        _write(tmp_path, f"{z}.dcm", z, values)
    np.testing.assert_array_equal(read_volume(tmp_path), values[:2], strict=True)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"SeriesInstanceUID": "1.2.4"}, "SeriesInstanceUID differs"),
        ({"RescaleSlope": 3}, "RescaleSlope differs"),
        ({"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}, "ImageOrientationPatient differs"),
        ({"ImagePositionPatient": [10, 20, 0]}, "planes lie at one place"),
        ({"NumberOfFrames": 2}, r"1\.dcm` has 2 frames: name one file"),
        ({"SamplesPerPixel": 3}, "3 channels"),
        ({"Rows": 3}, r"slices differ: `0\.dcm` is 6·7 int16, `1\.dcm` is 3·7 int16"),
    ],
)
def test_planes_of_several_volumes_are_refused(tags: dict[str, Any], message: str, tmp_path: Path) -> None:
    _write(tmp_path, "0.dcm", 0)
    _write(tmp_path, "1.dcm", 1, **tags)
    with pytest.raises(ValueError, match=message):
        open_volume(tmp_path)


def test_broken_files_are_named(tmp_path: Path) -> None:
    _write_all(tmp_path)
    path = tmp_path / "0.dcm"
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(ValueError, match=r"0\.dcm` is not a readable DICOM"):
        read_volume(tmp_path)
    path.write_bytes(b"no plane")
    with pytest.raises(ValueError, match=r"0\.dcm` is not a readable DICOM"):
        open_volume(tmp_path)


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_all(tmp_path)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    for read in (open_volume, read_metadata):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'nvc_jax\[io\]'"):
            read(tmp_path)
