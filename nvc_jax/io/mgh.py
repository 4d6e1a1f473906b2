"""FreeSurfer's files: ``.mgh``, and ``.mgz``, which is the same in gzip.

They store x fastest and big-endian. Lengths are in millimetres.
"""

import contextlib
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import Shape
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.file_format import SourceFile, check_written_dtype
from nvc_jax.io.geometry import AFFINE, ras_affine
from nvc_jax.io.lazy import FlatArray
from nvc_jax.io.lengths import lengths_in
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attributes_as_json,
    axis_aligned_origin,
    kept_axes,
    parse_spacing,
)
from nvc_jax.io.nifti import GZIP_SUFFIXES, open_samples
from nvc_jax.io.readable import readable
from nvc_jax.io.spatial_metadata import spatial_part
from nvc_jax.io.written_attributes import kept_fields, warn_of_losses

_DTYPES = ("uint8", "int16", "uint16", "int32", "float32")
_UNIT = "mm"
_COPIED_FIELDS = ("tr", "flip_angle", "te", "ti", "fov")
"""Header fields of the scan, which are written as they were read."""


def open_mgh(file: SourceFile) -> ts.TensorStore:
    """Open a file; ``.mgh`` is mapped, ``.mgz`` is unpacked into a temporary file."""
    with readable(file.name, "MGH"):
        header = _read_header(file)
        shape = tuple(int(side) for side in reversed(header.get_data_shape()))
        dtype = np.dtype(header.get_data_dtype()).newbyteorder(">")
    return open_samples(file, shape, dtype, int(header.get_data_offset()), "MGH")


def mgh_metadata(file: SourceFile) -> VolumeMetadata:
    """Read spacing and affine; the origin is known unless the affine rotates or mirrors the axes."""
    with readable(file.name, "MGH"):
        header = _read_header(file)
        affine = np.asarray(header.get_affine(), np.float64)
    fields = {name: header[name] for name in _COPIED_FIELDS}
    spacing = parse_spacing(np.asarray(header["delta"], np.float64)[::-1])
    origin = axis_aligned_origin(affine[:3, :3], affine[:3, 3])
    # A series of volumes, whose times the header does not state.
    is_series = len(kept_axes(tuple(header.get_data_shape())[::-1], rank=N_SPATIAL)) > N_SPATIAL
    before: tuple[None, ...] = (None,) * is_series
    return VolumeMetadata(
        dimension_names=(*("t",) * is_series, "z", "y", "x"),
        spacing=None if spacing is None else (*before, *spacing),
        origin=None if origin is None else (*before, *origin),
        units=(*before, *(_UNIT,) * 3),
        attributes=attributes_as_json({AFFINE: affine, "mgh": fields}),
    )


def _read_header(file: SourceFile) -> Any:
    """Read the header, of which a part follows the samples. nibabel's images leave files open."""
    mgh = import_extra("nibabel.freesurfer.mghformat", "io")
    is_packed = file.path.suffix.lower() in GZIP_SUFFIXES
    with gzip.open(file.path) if is_packed else file.path.open("rb") as stream:
        return mgh.MGHHeader.from_fileobj(stream)


def check_mgh_output(path: Path, shape: Shape, dtype: np.dtype) -> None:
    """Raise ``TypeError`` if MGH does not have a dtype."""
    import_extra("nibabel", "io")
    check_written_dtype(path, dtype, _DTYPES, "MGH")


def create_mgh(path: Path, shape: Shape, dtype: np.dtype, metadata: VolumeMetadata) -> FlatArray:
    """Create a file with affine and the fields of the scan; other attributes have no place in it.

    Positions become millimetres where their unit is a known one.
    """
    warn_of_losses(metadata, dtype, "MGH")
    mgh = import_extra("nibabel.freesurfer.mghformat", "io")
    header = mgh.MGHHeader()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape[::-1])
    affine = ras_affine(lengths_in(spatial_part(metadata, len(shape)), _UNIT))
    if affine is not None:
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        header["delta"], header["Mdc"] = spacing, (affine[:3, :3] / spacing).T
        header["Pxyz_c"] = (affine @ [*(side / 2 for side in shape[: -N_SPATIAL - 1 : -1]), 1])[:3]
    kept = kept_fields(metadata, "mgh")
    for name in _COPIED_FIELDS:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            header[name] = kept[name] if kept else 0
    with path.open("wb") as file:
        header.writehdr_to(file)
        file.truncate(header.get_data_offset())
        header.writeftr_to(file)
    stored = np.dtype(header.get_data_dtype()).newbyteorder(">")
    return FlatArray(path.absolute(), shape, stored, header.get_data_offset())
