"""Raw files named as in the Open SciVis Datasets."""

import re
from pathlib import Path

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.io.lazy import Flat
from nvc_jax.io.metadata import VolumeMetadata, attempt, spacing3

_RAW_NAME = re.compile(
    r"_(?P<x>\d+)x(?P<y>\d+)x(?P<z>\d+)(_(?P<spacing>[\d.]+x[\d.]+x[\d.]+))?_(?P<dtype>u?int\d+|float\d+)\.raw$"
)


def raw_layout(path: Path) -> tuple[Shape3, np.dtype]:
    """Shape (z, y, x) and dtype that an Open SciVis file name states."""
    match = _match_raw(path)
    shape = check_shape((int(match["z"]), int(match["y"]), int(match["x"])), path.name)
    check_dtype(match["dtype"], path.name)
    return shape, np.dtype(match["dtype"]).newbyteorder("<")


def _match_raw(path: Path) -> re.Match[str]:
    match = _RAW_NAME.search(path.name)
    if match is None:
        raise ValueError(f"`{path.name}` must be named like `name_XxYxZ_dtype.raw`, x fastest")
    return match


def open_raw(path: Path, name: str) -> ts.TensorStore:
    """A ``.raw`` file named as in Open SciVis."""
    shape, dtype = raw_layout(path)
    flat = Flat(path, shape, dtype)
    actual_bytes = path.stat().st_size
    if actual_bytes != flat.end:
        raise ValueError(
            f"`{path.name}` holds {actual_bytes} bytes; its name says {flat.end} "
            f"({shape[2]}·{shape[1]}·{shape[0]} voxels of {dtype.name})"
        )
    return flat.store(name)


def raw_metadata(path: Path) -> VolumeMetadata:
    """The spacing that some Open SciVis names state between shape and dtype, x first."""
    match = _match_raw(path)
    return VolumeMetadata(spacing=attempt(lambda: spacing3(match["spacing"].split("x")[::-1])))
