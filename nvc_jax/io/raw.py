"""Raw files named as in the Open SciVis Datasets: ``name_XxYxZ_dtype.raw``, x fastest, little-endian."""

import re
from pathlib import Path

import numpy as np
import tensorstore as ts

from nvc_jax.core.dtypes import check_dtype
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.lazy import FlatArray
from nvc_jax.io.metadata import VolumeMetadata, attempt, parse_spacing

_RAW_NAME = re.compile(
    r"_(?P<x>\d+)x(?P<y>\d+)x(?P<z>\d+)(_(?P<spacing>[\d.]+x[\d.]+x[\d.]+))?_(?P<dtype>bool|u?int\d+|float\d+)\.raw$",
    re.IGNORECASE,
)


def raw_layout(path: Path) -> tuple[Shape3, np.dtype]:
    """Return the shape (z, y, x) and the dtype that the name of a raw file states.

    Raises:
        TypeError: the dtype is not supported.
        ValueError: the name does not have the expected form, or a side is empty.
    """
    match = _match_name(path)
    shape = check_shape((int(match["z"]), int(match["y"]), int(match["x"])), path.name)
    dtype = match["dtype"].lower()
    check_dtype(dtype, path.name)
    return shape, np.dtype(dtype).newbyteorder("<")


def open_raw(file: SourceFile) -> ts.TensorStore:
    """Open a ``.raw`` file, which must have exactly the size that its name states."""
    shape, dtype = raw_layout(file.path)
    array = FlatArray(file.path, shape, dtype)
    actual_bytes = file.path.stat().st_size
    if actual_bytes != array.end:
        raise ValueError(
            f"`{file.path.name}` holds {actual_bytes} bytes; its name says {array.end} "
            f"({shape[2]}·{shape[1]}·{shape[0]} voxels of {dtype.name})"
        )
    return array.as_store(file.name)


def raw_metadata(file: SourceFile) -> VolumeMetadata:
    """Return the spacing that some names state between shape and dtype, x first."""
    match = _match_name(file.path)
    return VolumeMetadata(spacing=attempt(lambda: parse_spacing(match["spacing"].lower().split("x")[::-1])))


def _match_name(path: Path) -> re.Match[str]:
    match = _RAW_NAME.search(path.name)
    if match is None:
        raise ValueError(f"`{path.name}` must be named like `name_XxYxZ_dtype.raw`, x fastest")
    return match
