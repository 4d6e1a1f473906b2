"""MRC and CCP4 files of electron microscopy: ``.mrc``, ``.map``, ``.rec`` and ``.st``.

The header says which axes of the cell columns, rows and sections are; they come as z, y, x whatever their
order in the file is. Lengths are in ångström.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import Shape
from nvc_jax.io.file_format import SourceFile, check_written_dtype
from nvc_jax.io.lazy import FlatArray
from nvc_jax.io.lengths import ANGSTROM, lengths_in
from nvc_jax.io.metadata import (
    Numbers,
    VolumeMetadata,
    attempt,
    attributes_as_json,
    parse_numbers,
    parse_spacing,
)
from nvc_jax.io.readable import readable
from nvc_jax.io.written_attributes import kept_fields, warn_of_losses

_DTYPES = ("int8", "int16", "uint16", "float16", "float32")
_IMOD_STAMP, _SIGNED = 1146047817, 1
"""Number by which IMOD marks its files, and the flag of bytes that are signed."""
_IMOD_BYTES = slice(152, 160)
"""Bytes of the header with IMOD's stamp and flags."""
_LABEL = "nvc_jax"
"""Label of the files that are written."""
_N_LABELS, _LABEL_LENGTH = 10, 80


def open_mrc(file: SourceFile) -> ts.TensorStore:
    """Open an MRC file; its samples are mapped."""
    with readable(file.name, "MRC"):
        header = _read_header(file)
        array = _locate_samples(file, header)
        array.check_size(file.name)
        order = _axis_order(header)
    store = array.as_store(file.name)
    return store[ts.d[order].transpose[0, 1, 2]]


def mrc_metadata(file: SourceFile) -> VolumeMetadata:
    """Read voxel size, origin and labels.

    The origin is the field ``origin``, or the index of the first voxel times the voxel size where that is 0.
    """
    with readable(file.name, "MRC"):
        header = _read_header(file)
    sampling = [int(header[name]) for name in ("mx", "my", "mz")]
    cell = [float(header.cella[axis]) for axis in "xyz"]
    spacing = attempt(lambda: parse_spacing([cell[axis] / sampling[axis] for axis in (2, 1, 0)]))
    labels = [header.label[index].decode("ascii", "replace").strip("\0 ") for index in range(_N_LABELS)]
    fields = {name: header[name] for name in header.dtype.names if name.startswith(("d", "rms", "ispg"))}
    attributes = {"labels": [label for label in labels if label]} | fields
    return VolumeMetadata(
        dimension_names=("z", "y", "x"),
        spacing=spacing,
        origin=None if spacing is None else attempt(lambda: _read_origin(header, np.array(spacing))),
        units=None if spacing is None else (ANGSTROM,) * 3,
        attributes={"mrc": attributes_as_json(attributes)},
    )


def check_mrc_output(path: Path, shape: Shape, dtype: np.dtype) -> None:
    """Raise ``TypeError`` if MRC does not have a dtype."""
    import_extra("mrcfile", "io")
    check_written_dtype(path, dtype, _DTYPES, "MRC")


def create_mrc(path: Path, shape: Shape, dtype: np.dtype, metadata: VolumeMetadata) -> FlatArray:
    """Create an MRC file of one volume with voxel size, origin and the labels of the source.

    Spacing and origin become ångström where their unit is a known one. Other attributes have no place in it.
    """
    warn_of_losses(metadata, dtype, "MRC")
    mrcfile = import_extra("mrcfile", "io")
    mode = mrcfile.utils.mode_from_dtype(dtype)
    with mrcfile.new_mmap(path, shape, mode) as file:
        file.set_volume()
        place = lengths_in(metadata, ANGSTROM)
        if place.spacing is not None:
            file.voxel_size = tuple(np.array(place.spacing, np.float64)[::-1])
        if place.origin is not None:
            for axis, value in zip("zyx", place.origin, strict=True):
                file.header.origin[axis] = value
        _set_labels(file.header, kept_fields(metadata, "mrc").get("labels"))
        dtype_in_file = mrcfile.utils.data_dtype_from_header(file.header)
        offset = file.header.nbytes + int(file.header.nsymbt)
    return FlatArray(path.absolute(), shape, dtype_in_file, offset)


def _set_labels(header: Any, labels: Any) -> None:
    texts = [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []
    others = [text for text in texts if text != _LABEL]
    texts = [*others[: _N_LABELS - 1], _LABEL]
    for index, text in enumerate(texts):
        header.label[index] = text.encode("ascii", "replace")[:_LABEL_LENGTH]
    header.nlabl = len(texts)


def _read_header(file: SourceFile) -> Any:
    mrcfile = import_extra("mrcfile", "io")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a file that is too short: `check_size` says so
        with mrcfile.open(file.path, header_only=True) as opened:
            return opened.header.copy()


def _locate_samples(file: SourceFile, header: Any) -> FlatArray:
    utils = import_extra("mrcfile.utils", "io")
    dtype, shape = utils.data_dtype_from_header(header), utils.data_shape_from_header(header)
    stamp, flags = np.frombuffer(header.tobytes()[_IMOD_BYTES], header.mode.dtype)
    if dtype == np.int8 and stamp == _IMOD_STAMP and not flags & _SIGNED:
        dtype = np.dtype(np.uint8)
    if min(shape) < 1 or int(header.nsymbt) < 0:
        raise ValueError(f"it has the shape {shape} and {header.nsymbt} bytes of extended header")
    shape = (1,) * (3 - len(shape)) + tuple(shape)
    return FlatArray(file.path, shape, dtype, header.nbytes + int(header.nsymbt))


def _axis_order(header: Any) -> tuple[int, int, int]:
    """Return the axes of the stored array (sections, rows, columns) in the order z, y, x."""
    axes = [int(header[name]) for name in ("maps", "mapr", "mapc")]
    if axes == [0, 0, 0]:  # old files leave them out
        axes = [3, 2, 1]
    if sorted(axes) != [1, 2, 3]:
        raise ValueError(f"columns, rows and sections are the axes {axes[::-1]}, which must be 1, 2 and 3")
    return axes.index(3), axes.index(2), axes.index(1)


def _read_origin(header: Any, spacing: np.ndarray) -> Numbers | None:
    stated = np.array([float(header.origin[axis]) for axis in "zyx"])
    if np.any(stated):
        return parse_numbers(stated)
    starts = np.array([int(header[name]) for name in ("nzstart", "nystart", "nxstart")])
    return parse_numbers(starts[list(_axis_order(header))] * spacing)
