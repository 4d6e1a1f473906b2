"""NIfTI files: ``.nii`` and ``.nii.gz``.

NIfTI stores x fastest, so its samples are an array z, y, x in C order.
"""

import contextlib
import gzip
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.axes import default_spatial_axes, is_channel_name, is_time_name
from nvc_jax.io.declared_values import parse_floats
from nvc_jax.io.file_format import SourceFile, check_written_dtype
from nvc_jax.io.geometry import ras_affine
from nvc_jax.io.lazy import FlatArray, TemporaryCopy
from nvc_jax.io.lengths import MICROMETRE, is_shorter, lengths_in, units_of_lengths
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    axis_aligned_origin,
    kept_axes,
    parse_names,
    parse_numbers,
    parse_spacing,
)
from nvc_jax.io.nifti_extensions import add_extensions, read_extensions
from nvc_jax.io.readable import readable
from nvc_jax.io.spatial_metadata import spatial_part
from nvc_jax.io.written_attributes import kept_fields, warn_of_losses

_AXES = ("x", "y", "z", "t", "c")
"""Names of NIfTI's axes; along the last one are the components of a vector."""

_HIDDEN_FIELDS = ("sizeof_hdr", "magic")
"""Header fields that say nothing about the volume; they are not kept as attributes."""

GZIP_SUFFIXES = (".gz", ".mgz")
"""Suffixes of files that gzip compressed."""
_COPIED_FIELDS = (
    *("descrip", "aux_file", "intent_code", "intent_name", "intent_p1", "intent_p2", "intent_p3"),
    *("cal_min", "cal_max"),
)
"""Header fields that are written as they were read."""
_PLANE_FIELDS = ("dim_info", "slice_code", "slice_start", "slice_end", "slice_duration")
"""Header fields that say when each plane was measured; they are written where the axes are as they were."""
_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_NIFTI1_SIDE = 32767
"""Largest side in NIfTI-1; larger volumes are written as NIfTI-2."""
_ALIGNED = 2
"""Code of an affine whose space is not named."""
_QFORM_TOLERANCE = 1e-3
"""Difference of the affine by quaternions, which are float32, that is due to rounding."""
_QFORM_FIELDS = ("pixdim", *(f"quatern_{axis}" for axis in "bcd"), *(f"qoffset_{axis}" for axis in "xyz"))
_SFORM_FIELDS = tuple(f"srow_{axis}" for axis in "xyz")
"""Header fields of the two forms of the affine."""
_UNITS = {"m": "meter", "mm": "mm", MICROMETRE: "micron"}
"""NIfTI's names of its units."""
_TIME_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "sec"),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), "msec"),
    **dict.fromkeys(("us", "usec", "µs", "microsecond", "microseconds"), "usec"),
    **{unit: unit for unit in ("hz", "ppm", "rads")},
}
"""NIfTI's names of units of time, and of what else its fourth axis may be."""


def open_nifti(file: SourceFile) -> ts.TensorStore:
    """Open a NIfTI file.

    The values are the stored samples; a slope and an intercept of the header are not applied, and are kept
    in the metadata. ``.nii`` is mapped; ``.nii.gz`` is unpacked into a temporary file.
    """
    with readable(file.name, "NIfTI"):
        proxy = _load_image(file).dataobj
        shape = tuple(int(side) for side in reversed(proxy.shape))
    return open_samples(file, shape, proxy.dtype, int(proxy.offset), "NIfTI")


def open_samples(
    file: SourceFile, shape: tuple[int, ...], dtype: np.dtype, offset: int, format_name: str
) -> ts.TensorStore:
    """Open the samples of a file, x fastest, which gzip may have compressed."""
    check_dtype(dtype.newbyteorder("="), file.name)
    with readable(file.name, format_name):
        array = FlatArray(file.path, shape, dtype, offset)
        if file.path.suffix.lower() in GZIP_SUFFIXES:
            with gzip.open(file.path) as stream:
                copy = TemporaryCopy(cast(IO[bytes], stream))
            array = FlatArray(copy, shape, dtype, offset)
        array.check_size(file.name)
    return array.as_store(file.name, rank=N_SPATIAL)


def nifti_metadata(file: SourceFile) -> VolumeMetadata:
    """Read zooms, units and the affine; the origin is known unless the affine rotates or mirrors the axes."""
    with readable(file.name, "NIfTI"):
        image = _load_image(file)
    affine = attempt(lambda: np.asarray(image.affine, np.float64))
    header = {key: image.header[key] for key in image.header if key not in _HIDDEN_FIELDS}
    header |= read_extensions(image.header, file.name)
    kept = kept_axes(image.shape[::-1], rank=N_SPATIAL)
    rank, n_axes = len(kept), len(image.shape)
    names = [_AXES[n_axes - 1 - axis] for axis in kept]
    place = attempt(lambda: None if affine is None else axis_aligned_origin(affine[:3, :3], affine[:3, 3]))
    return VolumeMetadata(
        dimension_names=tuple(names),
        spacing=attempt(lambda: parse_spacing([_zoom(image, name) for name in names], rank)),
        origin=attempt(lambda: parse_numbers([_first(image, place, name) for name in names], rank)),
        units=parse_names([_unit(image, name) for name in names], rank),
        attributes=attributes_as_json(_read_scaling(image) | {"affine": affine, "nifti": header}),
    )


def _zoom(image: Any, name: str) -> float | None:
    """Return the distance of voxels or steps along an axis; None for one that has none."""
    zooms = [float(zoom) for zoom in image.header.get_zooms()]
    return None if name == "c" else zooms[_AXES.index(name)]


def _first(image: Any, place: Sequence[float | None] | None, name: str) -> float | None:
    """Return the position of the first voxel along an axis of space, or the time of the first volume."""
    if name == "t":
        return float(image.header["toffset"])
    return None if name == "c" or place is None else place["zyx".index(name)]


def _unit(image: Any, name: str) -> str | None:
    """Return the unit along an axis; None if it is not known."""
    units = attempt(image.header.get_xyzt_units)
    unit = None if units is None or name == "c" else units[1 if name == "t" else 0]
    return None if unit == "unknown" else unit


def _read_scaling(image: Any) -> dict[str, float]:
    """Read slope and intercept, by the names of the CF conventions; none where they change nothing."""
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    return {} if (slope, intercept) == (1, 0) else {"scale_factor": slope, "add_offset": intercept}


def _load_image(file: SourceFile) -> Any:
    nibabel = import_extra("nibabel", "io")
    image = nibabel.load(file.path)
    if not isinstance(image, nibabel.Nifti1Image):
        raise ValueError(f"it holds a {type(image).__name__}")
    return image


def arrange_axes(shape: Shape, names: Sequence[Any] | None) -> tuple[int | None, ...]:
    """List the axes of a file: channels, time, z, y and x.

    Those that an array lacks have length 1. The axes stay as they are if they have no names, or if several
    are of time or channels.
    """
    axes = range(len(shape))
    if names is None or len(shape) < N_SPATIAL:
        return tuple(axes)
    spatial = default_spatial_axes(shape, names)
    channels = [axis for axis in axes if axis not in spatial and is_channel_name(names[axis])]
    steps = [axis for axis in axes if axis not in spatial and axis not in channels]
    if len(channels) > 1 or len(steps) > 1:
        return tuple(axes)
    space = [*[None] * (N_SPATIAL - len(spatial)), *spatial]
    time = [*steps] if steps or not channels else [None]
    return (*channels, *time, *space)


def check_nifti_output(path: Path, shape: Shape, dtype: np.dtype) -> None:
    """Raise ``TypeError`` if NIfTI does not have a dtype."""
    import_extra("nibabel", "io")
    check_written_dtype(path, dtype, _DTYPES, "NIfTI")


def create_nifti(path: Path, shape: Shape, dtype: np.dtype, metadata: VolumeMetadata) -> FlatArray:
    """Create a NIfTI file with affine, unit, slope, intercept, description and extensions.

    Positions in units of length that NIfTI does not have, or not together, become millimetres or micrometres.
    Other attributes have no place in it.
    """
    warn_of_losses(metadata, dtype, "NIfTI", holds_scaling=True)
    nibabel = import_extra("nibabel", "io")
    header = (nibabel.Nifti1Header if max(shape) <= _NIFTI1_SIDE else nibabel.Nifti2Header)(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape[::-1])
    kept = kept_fields(metadata, "nifti")
    spatial = spatial_part(metadata, len(shape))
    unit = _choose_unit(spatial)
    _set_affine(header, ras_affine(spatial if unit is None else lengths_in(spatial, unit)), kept)
    header.set_xyzt_units(unit and _UNITS[unit], _set_time(header, metadata))
    slope, intercept = (
        parse_floats(metadata.attributes.get(name)) for name in ("scale_factor", "add_offset")
    )
    header.set_slope_inter((slope or [1.0])[0], (intercept or [0.0])[0])
    has_planes = list(kept.get("dim", ())) == header["dim"].tolist()
    for field in (*_COPIED_FIELDS, *(_PLANE_FIELDS if has_planes else ())):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            header[field] = kept[field].encode() if isinstance(kept[field], str) else kept[field]
    header["magic"] = header.single_magic
    add_extensions(header, kept)
    offset = int(header.single_vox_offset + header.extensions.get_sizeondisk())
    header["vox_offset"] = offset
    with path.open("wb") as file:
        header.write_to(file)
        file.truncate(offset)
    return FlatArray(path.absolute(), shape, dtype.newbyteorder("<"), offset)


def _choose_unit(spatial: VolumeMetadata) -> str | None:
    """Choose a unit of NIfTI for positions; None where theirs is not known."""
    stated = units_of_lengths(spatial)
    if stated is None:
        return None
    if len(set(stated)) == 1 and stated[0] in _UNITS:
        return stated[0]
    return MICROMETRE if all(is_shorter(unit, "mm") for unit in stated) else "mm"


def _set_time(header: Any, metadata: VolumeMetadata) -> str | None:
    """Set the distance of the volumes of a time series, and the time of the first; return their unit."""
    names, zooms = metadata.dimension_names, list(header.get_zooms())
    steps = [axis for axis, name in enumerate((names or ())[:-N_SPATIAL]) if is_time_name(name)]
    if len(zooms) <= N_SPATIAL or not steps:
        return None
    axis = steps[0]
    if metadata.spacing is not None and metadata.spacing[axis] is not None:
        zooms[N_SPATIAL] = metadata.spacing[axis]
        header.set_zooms(zooms)
    if metadata.origin is not None and metadata.origin[axis] is not None:
        header["toffset"] = metadata.origin[axis]
    unit = metadata.units[axis] if metadata.units is not None else None
    return _TIME_UNITS.get(str(unit))


def _set_affine(header: Any, affine: np.ndarray | None, kept: dict[str, Any]) -> None:
    """Set both forms of the affine, with the codes of the source if it was NIfTI."""
    if affine is None:
        return
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    header.set_zooms([*zooms, *header.get_zooms()[3:]][: len(header.get_zooms())])
    codes = [attempt(lambda name=name: int(kept[name])) or 0 for name in ("sform_code", "qform_code")]  # type: ignore[misc]
    header.set_sform(affine, codes[0] if any(codes) else _ALIGNED)
    header.set_qform(affine, codes[1])
    if all(codes) and (attempt(lambda: _states_two_places(kept)) or False):
        header["qform_code"] = 0  # of two places, that of the other form is kept
        warnings.warn(
            "the NIfTI source states two places; that of its sform is written, and that of its qform (code "
            f"{codes[1]}) is not: keep the source, too",
            stacklevel=2,
        )
    if codes[1] and not np.allclose(header.get_qform(), affine, rtol=_QFORM_TOLERANCE, atol=_QFORM_TOLERANCE):
        header["qform_code"] = 0  # it holds no shear; the other form holds every affine


def _states_two_places(kept: dict[str, Any]) -> bool:
    """Tell whether the two affines of a source's header differ, as those of a scanner and of an atlas do."""
    source = import_extra("nibabel", "io").Nifti1Header()
    for field in (*_QFORM_FIELDS, *_SFORM_FIELDS):
        source[field] = kept[field]
    return not np.allclose(
        source.get_qform(), source.get_sform(), rtol=_QFORM_TOLERANCE, atol=_QFORM_TOLERANCE
    )
