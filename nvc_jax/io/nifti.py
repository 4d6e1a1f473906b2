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
from nvc_jax.io.lazy import FlatArray, TemporaryCopy
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

    The values are the stored samples; a slope and an intercept of the header are not applied, and are kept
    in the metadata. ``.nii`` is mapped; ``.nii.gz`` is unpacked into a temporary file.
    """
    with readable(file.name, "NIfTI"):
        proxy = _load_image(file).dataobj
        shape = tuple(int(side) for side in reversed(proxy.shape))
    check_dtype(proxy.dtype.newbyteorder("="), file.name)

    with readable(file.name, "NIfTI"):
        array = FlatArray(file.path, shape, proxy.dtype, int(proxy.offset))
        if file.path.suffix.lower() == ".gz":
            with gzip.open(file.path) as stream:
                copy = TemporaryCopy(cast(IO[bytes], stream))
            array = FlatArray(copy, shape, proxy.dtype, int(proxy.offset))
        array.check_size(file.name)
    return array.as_store(file.name)


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
        attributes=attributes_as_json(_read_scaling(image) | {"affine": affine, "nifti": header}),
    )


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
