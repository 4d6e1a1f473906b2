"""DICOM: a folder with the files of a series, of which each holds a plane, or one file with several frames.

Planes are sorted by their positions. Values stay the stored integers; slope and intercept are metadata. Names
and other facts of the patient are not kept.
"""

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.dicom_frames import Frame, count_frames, frames_of, open_frames, read_frame
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.geometry import AFFINE, RAS_FROM_LPS
from nvc_jax.io.last_result import LastResult
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

SUFFIXES = (".dcm", ".dicom", ".ima")
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
_HEADERS: LastResult[list[Frame]] = LastResult()
"""Headers that were read when a source was opened."""


def has_series(directory: Path) -> bool:
    """Tell whether a directory holds files of DICOM."""
    return any(is_dicom(path) for path in directory.iterdir())


def open_dicom(source: SourceFile) -> ts.TensorStore:
    """Open a file, or the series in a folder, without loading it; the last 256 MiB of planes are kept.

    Raises:
        ModuleNotFoundError: pydicom is not installed.
        ValueError: there are several series or volumes, the planes differ, lie at one place or have none, or
            have several channels.
    """
    frames = _HEADERS.take(source.path, lambda: _sorted_frames(source))
    planes = [_describe(frame) for frame in frames]
    if frames[0].number is not None:
        return open_frames(frames, *planes[0], source.name)
    return stack_planes(
        source.name, [frame.path for frame in frames], planes, functools.partial(read_frame, number=None)
    )


def dicom_metadata(source: SourceFile) -> VolumeMetadata:
    """Read spacing, affine (RAS), slope, intercept and the padding value, which is a missing value.

    Planes at uneven distances have neither spacing nor affine; a warning says so, as one may be missing.
    """
    frames = _HEADERS.take(source.path, lambda: _sorted_frames(source))
    first = frames[0]
    affine = attempt(lambda: _make_affine(frames))
    if affine is None and (fault := attempt(lambda: _describe_gaps(frames))) is not None:
        warnings.warn(f"`{source.name}`: {fault}", stacklevel=2)
    scaling = {
        name: float(value)
        for name, value in (
            ("scale_factor", first.get("RescaleSlope") or first.get("DoseGridScaling")),
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


def is_dicom(path: Path) -> bool:
    """Tell whether a file is of DICOM, by its suffix or its first bytes."""
    if path.name.startswith(".") or not path.is_file():
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    if path.suffix and not path.suffix[1:].isdecimal():  # such as files that are named by their UID
        return False
    with path.open("rb") as stream:
        return stream.read(_MAGIC_OFFSET + len(_MAGIC))[_MAGIC_OFFSET:] == _MAGIC


def _sorted_frames(source: SourceFile) -> list[Frame]:
    """Read the headers of the planes, sorted by position, or by number if they state none."""
    frames = _read_frames(source)
    for name in _OF_ALL:
        _check_same(source, frames, name)
    places = [attempt(functools.partial(_position, frame)) for frame in frames]
    if any(place is None for place in places):
        places = [attempt(lambda frame=frame: float(frame.get("InstanceNumber"))) for frame in frames]  # type: ignore[misc]
    known = [place for place in places if place is not None]
    if len(frames) > 1 and len(set(known)) != len(frames):
        is_one_file = frames[0].number is not None
        step = (
            "convert it to a NIfTI file for each volume" if is_one_file else "make a folder for each volume"
        )
        raise ValueError(
            f"`{source.name}`: planes lie at one place, or state neither position nor number: "
            f"{len(frames)} planes, {len(set(known))} places; {step}"
        )
    order = np.argsort(known) if len(known) == len(frames) else [0]
    return [frames[index] for index in order]


def _read_frames(source: SourceFile) -> list[Frame]:
    """Read the headers of a file, or of all files of a folder."""
    pydicom = import_extra("pydicom", "io")
    paths = sorted(filter(is_dicom, source.path.iterdir())) if source.path.is_dir() else [source.path]
    files = []
    for path in paths:
        with readable(str(path), "DICOM"):
            header = pydicom.dcmread(path, stop_before_pixels=True)
            if "Rows" in header:  # others, such as a DICOMDIR, hold no plane
                files.append(frames_of(path, header))
    if not files:
        raise ValueError(f"`{source.name}` holds no file of DICOM with a plane")
    several = [frames[0] for frames in files if len(frames) > 1]
    if several and len(files) > 1:
        raise ValueError(
            f"`{source.name}` holds {len(files)} files, of which `{several[0].path.name}` has "
            f"{count_frames(several[0].header)} frames: name one file, such as `{several[0].path}`"
        )
    return [frame for frames in files for frame in frames]


def _check_same(source: SourceFile, frames: list[Frame], name: str) -> None:
    """Raise ``ValueError`` if an attribute differs among the planes."""
    stated = {str(_plain(frame.get(name))): frame.name for frame in frames}
    if len(stated) > 1:
        (one, path), (other, other_path) = list(stated.items())[:2]
        raise ValueError(
            f"`{source.name}`: {name} differs: `{path}` has {one}, `{other_path}` has {other}; make a folder "
            "for each series, or convert it to NIfTI"
        )


def _position(frame: Frame) -> float:
    """Return the position of a plane along the normal of the planes, in millimetres."""
    orientation = np.array(frame.get("ImageOrientationPatient"), np.float64)
    normal = np.cross(orientation[:3], orientation[3:])
    return float(np.round(np.array(frame.get("ImagePositionPatient"), np.float64) @ normal, 6))


def _make_affine(frames: list[Frame]) -> np.ndarray | None:
    """Make the affine of planes at even distances; None if they are uneven, or one plane has no thickness."""
    first, last = frames[0], frames[-1]
    orientation = np.array(first.get("ImageOrientationPatient"), np.float64)
    along_y, along_x = (float(side) for side in first.get("PixelSpacing"))  # distances of rows, of columns
    start = np.array(first.get("ImagePositionPatient"), np.float64)
    if len(frames) == 1:
        step = np.cross(orientation[:3], orientation[3:]) * float(first.get("SliceThickness"))
    elif even_spacing([_position(frame) for frame in frames]) is None:
        return None
    else:
        step = (np.array(last.get("ImagePositionPatient"), np.float64) - start) / (len(frames) - 1)
    affine = np.eye(4)
    affine[:3] = np.stack([orientation[:3] * along_x, orientation[3:] * along_y, step, start], axis=1)
    return RAS_FROM_LPS @ affine


def _describe_gaps(frames: list[Frame]) -> str | None:
    """Say where planes may be missing; None if they lie at even distances."""
    places = [_position(frame) for frame in frames]
    if len(frames) == 1 or even_spacing(places) is not None:
        return None
    distances = np.diff(places)
    widest = int(np.argmax(distances))
    return (
        f"planes lie {distances.min():g} to {distances.max():g} mm apart, so that spacing and positions are "
        f"left out; some may be missing between `{frames[widest].name}` and `{frames[widest + 1].name}`: add "
        "them"
    )


def _describe(frame: Frame) -> Plane:
    header = frame.header
    with readable(str(frame.path), "DICOM"):
        n_channels = int(header.get("SamplesPerPixel") or 1)
        if n_channels != 1:
            raise ValueError(f"its planes must be grey; they have {n_channels} channels")
        kind = "i" if header.get("PixelRepresentation") else "u"
        dtype = np.dtype(f"{kind}{max(int(header.BitsAllocated), 8) // 8}")
        return Plane((int(header.Rows), int(header.Columns)), dtype)


def _plain(value: Any) -> Any:
    """Convert a value of pydicom to one of Python."""
    if value is None or isinstance(value, str):
        return value if value is None else str(value)
    if isinstance(value, int):
        return int(value)
    numbers = attempt(lambda: float(value))
    return [_plain(part) for part in value] if numbers is None else numbers
