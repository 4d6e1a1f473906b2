"""NRRD files."""

import bz2
import contextlib
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.lazy import Flat, TemporaryCopy, lazy_store
from nvc_jax.io.metadata import (
    VolumeMetadata,
    aligned,
    attempt,
    attributes_as_json,
    kept_axes,
    names3,
    spacing3,
)
from nvc_jax.io.readable import readable

_UNPACK: dict[str, Callable[[IO[bytes]], Any]] = {
    "raw": lambda file: file,
    **dict.fromkeys(("gzip", "gz"), lambda file: gzip.GzipFile(fileobj=file)),
    **dict.fromkeys(("bzip2", "bz2"), bz2.BZ2File),
}


def open_nrrd(path: Path, name: str) -> ts.TensorStore:
    """NRRD, attached or detached: raw samples are mapped, packed ones unpacked into a temporary file.

    Samples in text are loaded whole.
    """
    nrrd = import_extra("nrrd", "io")
    with readable(name, "NRRD"), path.open("rb") as file:
        header = nrrd.read_header(file)
        shape = _nrrd_shape(header)
        unpack = _UNPACK.get(header["encoding"].lower())
        if unpack is None:
            array = nrrd.read_data(header, file, str(path), index_order="C")
            read, dtype = array.__getitem__, array.dtype
        else:
            flat = _nrrd_layout(nrrd, path, file, header, unpack)
            flat.check_size(name)
            read, dtype = flat.read, flat.dtype
    return lazy_store(read, shape, dtype, name, axis_names=_nrrd_names(header))


def _nrrd_shape(header: dict[str, Any]) -> tuple[int, ...]:
    shape = tuple(int(side) for side in reversed(header["sizes"]))
    if len(shape) != header["dimension"] or min(shape) < 1:
        raise ValueError(f"sizes {shape[::-1]} in {header['dimension']} dimensions")
    return shape


def _nrrd_layout(
    nrrd: Any, path: Path, file: IO[bytes], header: dict[str, Any], unpack: Callable[[IO[bytes]], Any]
) -> Flat:
    """Where the samples lie, after lines and bytes to skip (the bytes of what is unpacked)."""
    dtype, shape = nrrd.reader._determine_datatype(header), _nrrd_shape(header)
    with contextlib.ExitStack() as stack:
        detached = header.get("datafile", header.get("data file"))
        if detached is not None:
            path = path.parent / detached
            if not path.is_file():
                raise ValueError(f"its samples lie in `{detached}`, which is no file")
            file = stack.enter_context(path.open("rb"))
        for _ in range(header.get("lineskip", header.get("line skip", 0))):
            file.readline()
        stream, source = unpack(file), path.absolute()
        copy = None if stream is file else TemporaryCopy(stream)
        skip = header.get("byteskip", header.get("byte skip", 0))
        start = file.tell() if copy is None else 0
        if skip < 0:
            end = (file if copy is None else copy.file).seek(0, 2)
            start, skip = end - Flat(source, shape, dtype).end, 0
        if start < 0:
            raise ValueError(f"it holds {end} bytes of samples; its header says {end - start}")
        return Flat(copy or source, shape, dtype, start + skip)


def _nrrd_names(header: dict[str, Any]) -> list[str]:
    """Of the axes, slowest first: ``channel`` of those whose kind says that they are none of space."""
    kinds = [str(kind) for kind in header.get("kinds", ())]
    if len(kinds) != header["dimension"]:
        return [""] * int(header["dimension"])
    return ["" if kind in ("domain", "space", "???", "none") else "channel" for kind in reversed(kinds)]


def nrrd_metadata(path: Path) -> VolumeMetadata:
    """Space directions or spacings, space origin, units; the origin as for NIfTI."""
    nrrd = import_extra("nrrd", "io")
    with readable(str(path), "NRRD"):
        header = nrrd.read_header(str(path))
        kept = kept_axes(_nrrd_shape(header), _nrrd_names(header))
    axes = [header["dimension"] - 1 - axis for axis in kept]  # of the header, slowest first
    directions = attempt(lambda: np.asarray(header["space directions"], np.float64)[axes])
    lengths = None if directions is None else np.linalg.norm(directions, axis=1)
    if lengths is None:
        lengths = attempt(lambda: [header["spacings"][axis] for axis in axes])
    attributes = attributes_as_json(header, without=("type", "dimension", "sizes", "encoding", "endian"))
    return VolumeMetadata(
        dimension_names=attempt(lambda: names3([header["labels"][axis] for axis in axes])),
        spacing=spacing3(lengths),
        origin=attempt(
            lambda: None if directions is None else aligned(directions[::-1], header["space origin"])
        ),
        units=attempt(lambda: names3(header["space units"][::-1]))
        or attempt(lambda: names3([header["units"][axis] for axis in axes])),
        attributes=attributes,
    )
