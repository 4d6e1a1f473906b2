"""NIfTI files: ``.nii`` and ``.nii.gz``.

NIfTI stores x fastest, so its samples are an array z, y, x in C order.
"""

import gzip
from typing import IO, Any, cast

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.lazy import FlatArray, Index, TemporaryCopy, lazy_store
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    axis_aligned_origin,
    parse_names,
    parse_spacing,
)
from nvc_jax.io.readable import readable

_HIDDEN_FIELDS = ("sizeof_hdr", "magic")
"""Header fields that say nothing about the volume; they are not kept as attributes."""


def open_nifti(file: SourceFile) -> ts.TensorStore:
    """Open a NIfTI file.

    The values are the stored samples. If the header scales them, they are float64, as nibabel computes
    them. ``.nii`` is mapped; ``.nii.gz`` is unpacked into a temporary file.
    """
    apply_scaling = import_extra("nibabel.volumeutils", "io").apply_read_scaling
    with readable(file.name, "NIfTI"):
        proxy = _load_image(file).dataobj
        slope, intercept = float(proxy.slope), float(proxy.inter)
        shape = tuple(int(side) for side in reversed(proxy.shape))
    check_dtype(proxy.dtype.newbyteorder("="), file.name)

    with readable(file.name, "NIfTI"):
        array = FlatArray(file.path, shape, proxy.dtype, int(proxy.offset))
        if file.path.suffix.lower() == ".gz":
            with gzip.open(file.path) as stream:
                copy = TemporaryCopy(cast(IO[bytes], stream))
            array = FlatArray(copy, shape, proxy.dtype, int(proxy.offset))
        array.check_size(file.name)
    if (slope, intercept) == (1, 0):
        return array.as_store(file.name)

    def read_scaled(index: Index) -> np.ndarray:
        return apply_scaling(np.asarray(array.read(index)), np.float64(slope), np.float64(intercept))

    return lazy_store(read_scaled, shape, np.dtype(np.float64), file.name)


def nifti_metadata(file: SourceFile) -> VolumeMetadata:
    """Read zooms, units and the affine; the origin is known unless the affine rotates or mirrors the axes."""
    with readable(file.name, "NIfTI"):
        image = _load_image(file)
    affine = attempt(lambda: np.asarray(image.affine, np.float64))
    header = {key: image.header[key] for key in image.header if key not in _HIDDEN_FIELDS}
    unit = attempt(lambda: image.header.get_xyzt_units()[0])
    return VolumeMetadata(
        dimension_names=("z", "y", "x"),
        spacing=attempt(lambda: parse_spacing([float(zoom) for zoom in image.header.get_zooms()[2::-1]])),
        origin=attempt(
            lambda: None if affine is None else axis_aligned_origin(affine[:3, :3], affine[:3, 3])
        ),
        units=None if unit in (None, "unknown") else parse_names(unit),
        attributes=attributes_as_json({"affine": affine, "nifti": header}),
    )


def _load_image(file: SourceFile) -> Any:
    nibabel = import_extra("nibabel", "io")
    image = nibabel.load(file.path)
    if not isinstance(image, nibabel.Nifti1Image):
        raise ValueError(f"it holds a {type(image).__name__}")
    return image
