"""Folders with the files of a DICOM series, of which each holds a plane.

Planes are sorted by their positions. Values stay the stored integers; slope and intercept are metadata. Names
and other facts of the patient are not kept.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.geometry import AFFINE, RAS_FROM_LPS
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    axis_aligned_origin,
    even_spacing,
    parse_spacing,
)
from nvc_jax.io.readable import readable
from nvc_jax.io.slices import Plane, stack_planes

_SUFFIXES = (".dcm", ".dicom", ".ima")
_MAGIC, _MAGIC_OFFSET = b"DICM", 128
_UNIT = "mm"
_KEPT = (
    *("Modality", "SeriesDescription", "BodyPartExamined", "PhotometricInterpretation", "BitsStored"),
    *("WindowCenter", "WindowWidth", "RescaleType", "SliceThickness", "KVP", "ConvolutionKernel"),
    *("SeriesInstanceUID", "FrameOfReferenceUID"),
)
"""Attributes that describe the volume and not the patient."""
_OF_ALL = (
    *("SeriesInstanceUID", "RescaleSlope", "RescaleIntercept", "PixelPaddingValue", "PixelSpacing"),
    "ImageOrientationPatient",
)
"""Attributes that must be the same for all planes."""


@dataclasses.dataclass(frozen=True)
class _File:
    """A file of a series and its attributes, without its samples."""

    path: Path
    header: Any


def has_series(directory: Path) -> bool:
    """Tell whether a directory holds files of DICOM."""
    return any(_is_dicom(path) for path in directory.iterdir())


def open_series(folder: SourceFile) -> ts.TensorStore:
    """Open the series in a folder without loading it; the last 256 MiB of decoded planes are kept.

    Raises:
        ModuleNotFoundError: pydicom is not installed.
        ValueError: the folder holds several series, the planes differ, lie at one place or have none, or
            have several frames or channels.
    """
    files = _sorted_files(folder)
    planes = [_describe(file) for file in files]
    return stack_planes(folder.name, [file.path for file in files], planes, _read_plane)


def series_metadata(folder: SourceFile) -> VolumeMetadata:
    """Read spacing, affine (RAS), slope, intercept and the padding value, which is a missing value."""
    files = _sorted_files(folder)
    first = files[0].header
    affine = attempt(lambda: _make_affine(files))
    scaling = {
        name: float(value)
        for name, value in (
            ("scale_factor", first.get("RescaleSlope")),
            ("add_offset", first.get("RescaleIntercept")),
        )
        if value is not None
    }
    if scaling in ({"scale_factor": 1.0}, {"add_offset": 0.0}, {"scale_factor": 1.0, "add_offset": 0.0}):
        scaling = {}
    kept = {name: _plain(first.get(name)) for name in _KEPT if first.get(name) is not None}
    padding = first.get("PixelPaddingValue")
    return VolumeMetadata(
        dimension_names=("z", "y", "x"),
        spacing=None if affine is None else parse_spacing(np.linalg.norm(affine[:3, :3], axis=0)[::-1]),
        origin=None if affine is None else axis_aligned_origin(affine[:3, :3], affine[:3, 3]),
        units=None if affine is None else (_UNIT,) * 3,
        attributes=attributes_as_json(
            scaling | ({} if affine is None else {AFFINE: affine}) | {"dicom": kept}
        ),
        missing_values=() if padding is None else (float(padding),),
    )


def _is_dicom(path: Path) -> bool:
    if path.name.startswith(".") or not path.is_file():
        return False
    if path.suffix.lower() in _SUFFIXES:
        return True
    if path.suffix and not path.suffix[1:].isdecimal():  # such as files that are named by their UID
        return False
    with path.open("rb") as stream:
        return stream.read(_MAGIC_OFFSET + len(_MAGIC))[_MAGIC_OFFSET:] == _MAGIC


def _sorted_files(folder: SourceFile) -> list[_File]:
    """Read the headers of a series, sorted by position, or by number if they state none."""
    pydicom = import_extra("pydicom", "io")
    files = []
    for path in sorted(filter(_is_dicom, folder.path.iterdir())):
        with readable(str(path), "DICOM"):
            header = pydicom.dcmread(path, stop_before_pixels=True)
            if "Rows" in header:  # others, such as a DICOMDIR, hold no plane
                files.append(_File(path, header))
    if not files:
        raise ValueError(f"`{folder.name}` holds no file of DICOM with a plane")
    for name in _OF_ALL:
        _check_same(folder, files, name)
    places = [attempt(functools.partial(_position, file.header)) for file in files]
    if any(place is None for place in places):
        places = [attempt(lambda file=file: float(file.header.InstanceNumber)) for file in files]  # type: ignore[misc]
    known = [place for place in places if place is not None]
    if len(files) > 1 and len(set(known)) != len(files):
        raise ValueError(
            f"`{folder.name}`: planes lie at one place, or state neither position nor number: "
            f"{len(files)} files, {len(set(known))} places; make a folder for each volume"
        )
    order = np.argsort(known) if len(known) == len(files) else [0]
    return [files[index] for index in order]


def _check_same(folder: SourceFile, files: list[_File], name: str) -> None:
    """Raise ``ValueError`` if an attribute differs among the files."""
    stated = {str(_plain(file.header.get(name))): file.path.name for file in files}
    if len(stated) > 1:
        (one, path), (other, other_path) = list(stated.items())[:2]
        raise ValueError(
            f"`{folder.name}`: {name} differs: `{path}` has {one}, `{other_path}` has {other}; make a folder "
            "for each series, or convert it to NIfTI"
        )


def _position(header: Any) -> float:
    """Return the position of a plane along the normal of the planes, in millimetres."""
    orientation = np.array(header.ImageOrientationPatient, np.float64)
    normal = np.cross(orientation[:3], orientation[3:])
    return float(np.round(np.array(header.ImagePositionPatient, np.float64) @ normal, 6))


def _make_affine(files: list[_File]) -> np.ndarray | None:
    """Make the affine of planes at even distances; None if they are uneven, or one plane has no thickness."""
    first, last = files[0].header, files[-1].header
    orientation = np.array(first.ImageOrientationPatient, np.float64)
    along_y, along_x = (float(side) for side in first.PixelSpacing)  # distances of rows, of columns
    start = np.array(first.ImagePositionPatient, np.float64)
    if len(files) == 1:
        step = np.cross(orientation[:3], orientation[3:]) * float(first.SliceThickness)
    elif even_spacing([_position(file.header) for file in files]) is None:
        return None
    else:
        step = (np.array(last.ImagePositionPatient, np.float64) - start) / (len(files) - 1)
    affine = np.eye(4)
    affine[:3] = np.stack([orientation[:3] * along_x, orientation[3:] * along_y, step, start], axis=1)
    return RAS_FROM_LPS @ affine


def _describe(file: _File) -> Plane:
    header = file.header
    with readable(str(file.path), "DICOM"):
        n_frames, n_channels = int(header.get("NumberOfFrames") or 1), int(header.get("SamplesPerPixel") or 1)
        if (n_frames, n_channels) != (1, 1):
            raise ValueError(
                f"a file must hold one plane in grey; it has {n_frames} frames, {n_channels} channels"
            )
        kind = "i" if header.get("PixelRepresentation") else "u"
        dtype = np.dtype(f"{kind}{max(int(header.BitsAllocated), 8) // 8}")
        return Plane((int(header.Rows), int(header.Columns)), dtype)


def _read_plane(path: Path) -> np.ndarray:
    with readable(str(path), "DICOM"):
        return np.asarray(import_extra("pydicom", "io").dcmread(path).pixel_array)


def _plain(value: Any) -> Any:
    """Convert a value of pydicom to one of Python."""
    if value is None or isinstance(value, str):
        return value if value is None else str(value)
    if isinstance(value, int):
        return int(value)
    numbers = attempt(lambda: float(value))
    return [_plain(part) for part in value] if numbers is None else numbers
