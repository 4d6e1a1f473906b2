"""Scientific files whose samples lie flat once unpacked: NIfTI and NRRD.

Both store x fastest, so that an array of theirs is one of z, y, x in C order.
"""

import gzip
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.lazy import Flat, Index, TemporaryCopy, lazy_store
from nvc_jax.io.metadata import VolumeMetadata, aligned, attempt, attributes_as_json, names3, spacing3
from nvc_jax.io.readable import readable


def open_nifti(path: Path, name: str) -> ts.TensorStore:
    """NIfTI: the stored integers, or where the header scales them float64, as nibabel has it.

    ``.nii`` is mapped; ``.nii.gz`` is unpacked into a temporary file.
    """
    scaling = import_extra("nibabel.volumeutils", "io").apply_read_scaling
    with readable(name, "NIfTI"):
        proxy = _load_nifti(path).dataobj
        slope, inter = float(proxy.slope), float(proxy.inter)
        shape = tuple(int(side) for side in reversed(proxy.shape))
    check_dtype(proxy.dtype.newbyteorder("="), name)
    with readable(name, "NIfTI"):
        flat = Flat(path, shape, proxy.dtype, int(proxy.offset))
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                flat = Flat(TemporaryCopy(cast(IO[bytes], stream)), shape, proxy.dtype, int(proxy.offset))
        flat.check_size(name)
    if (slope, inter) == (1, 0):
        return flat.store(name)

    def read(index: Index) -> np.ndarray:
        return scaling(np.asarray(flat.read(index)), np.float64(slope), np.float64(inter))

    return lazy_store(read, shape, np.dtype(np.float64), name)


def _load_nifti(path: Path) -> Any:
    nibabel = import_extra("nibabel", "io")
    image = nibabel.load(path)
    if not isinstance(image, nibabel.Nifti1Image):
        raise ValueError(f"it holds a {type(image).__name__}")
    return image


def nifti_metadata(path: Path) -> VolumeMetadata:
    """Zooms, units and the affine; the origin where the affine does not turn or mirror the axes."""
    with readable(str(path), "NIfTI"):
        image = _load_nifti(path)
    affine = attempt(lambda: np.asarray(image.affine, np.float64))
    header = {key: image.header[key] for key in image.header if key not in ("sizeof_hdr", "magic")}
    attributes = attributes_as_json({"affine": affine, "nifti": header})
    unit = attempt(lambda: image.header.get_xyzt_units()[0])
    return VolumeMetadata(
        dimension_names=("z", "y", "x"),
        spacing=attempt(lambda: spacing3([float(zoom) for zoom in image.header.get_zooms()[2::-1]])),
        origin=attempt(lambda: None if affine is None else aligned(affine[:3, :3], affine[:3, 3])),
        units=None if unit in (None, "unknown") else names3(unit),
        attributes=attributes,
    )
