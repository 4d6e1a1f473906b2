"""NRRD files: ``.nrrd``, and ``.nhdr`` with the samples in one or several files of their own.

NRRD stores x fastest, so its samples are an array z, y, x in C order.
"""

import bz2
import contextlib
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.json_documents import read_json
from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import default_names
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.geometry import DIRECTIONS
from nvc_jax.io.lazy import FlatArray, TemporaryCopy, lazy_store
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    axis_aligned_origin,
    kept_axes,
    parse_names,
    parse_spacing,
)
from nvc_jax.io.nrrd_parts import Parts, list_parts, read_header
from nvc_jax.io.readable import readable

_Unpack = Callable[[IO[bytes]], Any]
_UNPACKERS: dict[str, _Unpack] = {
    "raw": lambda stream: stream,
    **dict.fromkeys(("gzip", "gz"), lambda stream: gzip.GzipFile(fileobj=stream)),
    **dict.fromkeys(("bzip2", "bz2"), bz2.BZ2File),
}
"""Readers of the samples by encoding; samples of any other encoding are text."""

_SPATIAL_KINDS = ("domain", "space", "???", "none")
"""Kinds of axes that may be axes of space; NRRD's others are channels of some sort."""

FURTHER = "further attributes"
"""Key of a JSON object with the attributes whose names a key/value pair cannot have."""
_HIDDEN_FIELDS = ("type", "dimension", "sizes", "encoding", "endian")
"""Header fields that describe how the samples are stored; they are not kept as attributes."""


def open_nrrd(file: SourceFile) -> ts.TensorStore:
    """Open an NRRD file, attached or detached.

    Raw samples are mapped, compressed ones unpacked into a temporary file. Samples in text are loaded into
    memory.
    """
    nrrd = import_extra("nrrd", "io")
    with readable(file.name, "NRRD"), file.path.open("rb") as stream:
        header = read_header(nrrd, stream)
        shape = _stored_shape(header)
        unpack = _UNPACKERS.get(header["encoding"].lower())
        parts = list_parts(header.get("datafile", header.get("data file", "")))
        if parts is not None:
            whole = _join_parts(nrrd, file.path, header, *parts)
            read, dtype = whole.read, nrrd.reader._determine_datatype(header)
        elif unpack is None:
            values = nrrd.read_data(header, stream, str(file.path), index_order="C")
            read, dtype = values.__getitem__, values.dtype
        else:
            array = _locate_samples(nrrd, file.path, stream, header, unpack)
            array.check_size(file.name)
            read, dtype = array.read, array.dtype
    return lazy_store(read, shape, dtype, file.name, axis_names=_axis_names(header))


def nrrd_metadata(file: SourceFile) -> VolumeMetadata:
    """Read spacing, units, and the origin unless the space directions rotate or mirror the axes."""
    nrrd = import_extra("nrrd", "io")
    with readable(file.name, "NRRD"), file.path.open("rb") as stream:
        header = read_header(nrrd, stream)
        kept = kept_axes(_stored_shape(header), _axis_names(header))
    axes = [header["dimension"] - 1 - axis for axis in kept]  # of the header, in the order z, y, x
    rank = len(axes)
    directions = attempt(lambda: np.asarray(header["space directions"], np.float64)[axes])
    if directions is None:
        spacing = attempt(lambda: [header["spacings"][axis] for axis in axes])
        origin = None
    else:
        # Axes of channels and the like have no direction: NaN.
        spacing = np.linalg.norm(directions, axis=1)
        origin = attempt(lambda: _origin(directions, header["space origin"]))
    return VolumeMetadata(
        dimension_names=_names(header, axes),
        spacing=parse_spacing(spacing, rank),
        origin=origin,
        units=attempt(lambda: _space_units(directions, header["space units"]))
        or attempt(lambda: parse_names([header["units"][axis] for axis in axes], rank)),
        attributes=_attributes(header, directions),
    )


def _names(header: dict[str, Any], axes: list[int]) -> tuple[str | None, ...] | None:
    """Name the axes by their labels, or else those of channels and time by their kinds."""
    rank = len(axes)
    labels = attempt(lambda: parse_names([header["labels"][axis] or None for axis in axes], rank))
    if labels is not None or rank == N_SPATIAL:
        return labels
    kinds = attempt(lambda: [str(header["kinds"][axis]) for axis in axes])
    if kinds is None:
        return None
    names = ["t" if kind == "time" else "" if kind in _SPATIAL_KINDS else "c" for kind in kinds]
    spatial = iter(default_names(N_SPATIAL)[max(N_SPATIAL - names.count(""), 0) :])
    return tuple(name or next(spatial, None) for name in names)


def _origin(directions: np.ndarray, origin: Any) -> tuple[float | None, ...] | None:
    """Return the origin along the axes, None along those without a direction."""
    has_direction = ~np.isnan(directions).any(axis=1)
    aligned = axis_aligned_origin(directions[has_direction][::-1], origin)
    if aligned is None:
        return None
    values = iter(aligned)
    return tuple(next(values) if has else None for has in has_direction)


def _space_units(directions: np.ndarray | None, units: Any) -> tuple[str | None, ...] | None:
    """Return the units along the axes, None along those without a direction."""
    if directions is None:
        return parse_names(units[::-1])
    values = iter(units[::-1])
    return parse_names([None if np.isnan(row).any() else next(values) for row in directions], len(directions))


def _attributes(header: dict[str, Any], directions: np.ndarray | None) -> dict[str, Any]:
    """Return the fields of the header; directions are those of the axes of space alone."""
    attributes = attributes_as_json(header, without=_HIDDEN_FIELDS)
    further = attempt(lambda: read_json(attributes[FURTHER].encode()))
    if isinstance(further, dict):
        del attributes[FURTHER]
        attributes |= further
    if directions is not None and np.isnan(directions).any():
        rows = directions[~np.isnan(directions).any(axis=1)]
        attributes[DIRECTIONS] = rows[::-1].tolist()
    return attributes


def _stored_shape(header: dict[str, Any]) -> tuple[int, ...]:
    """Return the shape of the stored array, slowest axis first."""
    shape = tuple(int(side) for side in reversed(header["sizes"]))
    if len(shape) != header["dimension"] or min(shape) < 1:
        raise ValueError(f"sizes {shape[::-1]} in {header['dimension']} dimensions")
    return shape


def _axis_names(header: dict[str, Any]) -> list[str]:
    """Name the axes, slowest first: ``channel`` if its kind says that it is not an axis of space."""
    kinds = [str(kind) for kind in header.get("kinds", ())]
    if len(kinds) != header["dimension"]:
        return [""] * int(header["dimension"])
    return ["" if kind in _SPATIAL_KINDS else "channel" for kind in reversed(kinds)]


def _join_parts(nrrd: Any, path: Path, header: dict[str, Any], names: list[str], rank: int | None) -> Parts:
    """Join samples in several files."""
    if header["encoding"].lower() != "raw" or header.get("lineskip", header.get("line skip", 0)):
        raise ValueError("its samples are in several files: these must be raw, and have no lines to skip")
    n_skipped = header.get("byteskip", header.get("byte skip", 0))
    dtype = nrrd.reader._determine_datatype(header)
    return Parts(path.parent, names, rank, _stored_shape(header), dtype, n_skipped)


def _locate_samples(
    nrrd: Any, path: Path, stream: IO[bytes], header: dict[str, Any], unpack: _Unpack
) -> FlatArray:
    """Find the samples after the header, unpacked if they are compressed.

    The header may name another file, lines to skip in it, and bytes to skip after unpacking; -1 bytes mean
    that the samples are the last bytes.

    Args:
        nrrd: the library.
        path: path of the file with the header.
        stream: the same file, open after the header.
        header: the header.
        unpack: makes the reader of the samples from the file that holds them.
    """
    # The library has no public function for the dtype with its byte order.
    dtype, shape = nrrd.reader._determine_datatype(header), _stored_shape(header)
    with contextlib.ExitStack() as stack:
        detached = header.get("datafile", header.get("data file"))
        if detached is not None:
            path = path.parent / detached
            if not path.is_file():
                raise ValueError(f"its samples are in `{detached}`, which is not a file")
            stream = stack.enter_context(path.open("rb"))
        for _ in range(header.get("lineskip", header.get("line skip", 0))):
            stream.readline()

        unpacked = unpack(stream)
        copy = None if unpacked is stream else TemporaryCopy(unpacked)
        source = path.absolute() if copy is None else copy

        n_skipped = header.get("byteskip", header.get("byte skip", 0))
        if n_skipped >= 0:
            start = stream.tell() if copy is None else 0
            return FlatArray(source, shape, dtype, start + n_skipped)
        n_held = stream.seek(0, 2) if copy is None else copy.size
        n_needed = FlatArray(source, shape, dtype).end
        if n_held < n_needed:
            raise ValueError(f"it holds {n_held} bytes of samples; its header says {n_needed}")
        return FlatArray(source, shape, dtype, n_held - n_needed)
