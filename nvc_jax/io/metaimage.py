"""MetaImage files of ITK: ``.mha``, and ``.mhd`` with the samples in files of their own.

MetaImage stores x fastest. Positions rise to the left, to the back and upwards (LPS).
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import Shape, default_names
from nvc_jax.core.spatial_axes import N_SPATIAL
from nvc_jax.io.declared_values import parse_floats
from nvc_jax.io.file_format import SourceFile, check_written_dtype
from nvc_jax.io.geometry import DIRECTIONS, LPS, ORIGIN, RAS_FROM_LPS, SPACE, ras_affine
from nvc_jax.io.lazy import FlatArray, lazy_store
from nvc_jax.io.lengths import MICROMETRE, lengths_in, units_of_lengths
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    axis_aligned_origin,
    parse_names,
    parse_spacing,
)
from nvc_jax.io.readable import readable
from nvc_jax.io.written_attributes import as_ascii, kept_fields, warn_of_losses

_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_COPIED_TAGS = ("Comment", "Name", "Modality", "AnatomicalOrientation", "DistanceUnits")
"""Tags that are written as they were read."""
_UNITS = {MICROMETRE: "um", "mm": "mm", "cm": "cm"}
"""MetaImage's names of its units."""
_SCALING = {
    "ElementToIntensityFunctionSlope": "scale_factor",
    "ElementToIntensityFunctionOffset": "add_offset",
}
"""Tags of slope and intercept, by their names of the CF conventions."""
_MOST_LINES, _MOST_HEADER_BYTES = 1000, 1 << 16
"""Lines of a header, and bytes of one of them, that are read at most."""
_IN_MEMORY = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB", "CompressedData", "HeaderSizePerSlice")
"""Tags of files whose samples are not mapped."""
_HIDDEN_TAGS = (
    *("ObjectType", "NDims", "DimSize", "ElementType", "ElementSpacing", "BinaryData", "HeaderSize"),
    *("CompressedDataSize", "HeaderSizesPerDataFile", *_IN_MEMORY),
)
"""Tags that describe how the samples are stored; they are not kept as attributes."""


def open_metaimage(file: SourceFile) -> ts.TensorStore:
    """Open a MetaImage file.

    Samples in one file that are little-endian and not compressed are mapped. Others, in a list or a pattern
    of files, too, are loaded into memory.
    """
    library = import_extra("metaimageio", "io")
    with readable(file.name, "MetaImage"):
        tags = _read_tags(library, file)
        if tags.get("BinaryData") is False:
            raise ValueError("its samples are text (BinaryData = False); convert it with ITK")
        mapped = None if any(tags.get(tag) for tag in _IN_MEMORY) else _try_map(library, file)
        if mapped is None:
            values, _ = library.read(file.path)
            return lazy_store(values.__getitem__, values.shape, values.dtype, file.name)
        path = Path(str(mapped.filename))
        array = FlatArray(path, mapped.shape, mapped.dtype, int(mapped.offset))
        n_bytes = path.stat().st_size
        if n_bytes > array.end and tags.get("HeaderSize") == 0:
            raise ValueError(
                f"its samples take {array.end - array.offset} of {n_bytes} bytes; HeaderSize does not say "
                "which; state the number of bytes before them"
            )
    return array.as_store(file.name)


def metaimage_metadata(file: SourceFile) -> VolumeMetadata:
    """Read spacing, and the origin unless the matrix rotates or mirrors the axes."""
    library = import_extra("metaimageio", "io")
    with readable(file.name, "MetaImage"):
        tags = _read_tags(library, file)
        sizes = tags.get("ElementSpacing", tags.get("ElementSize"))
    rank = attempt(lambda: len(tags["DimSize"])) or N_SPATIAL
    names = default_names(rank)
    if attempt(lambda: int(tags["ElementNumberOfChannels"]) > 1):
        rank, names = rank + 1, (*names, "c")
    spacing = attempt(lambda: parse_spacing([*np.asarray(sizes)[::-1], None][:rank], rank))
    if rank != N_SPATIAL:
        return VolumeMetadata(
            dimension_names=names,
            spacing=spacing,
            attributes=_read_attributes(tags),
        )
    attributes = _read_attributes(tags)
    place = None if spacing is None else attempt(lambda: _read_place(library, tags, np.array(sizes)))
    if place is not None:
        directions, origin = place
        attributes |= {SPACE: LPS, DIRECTIONS: directions.tolist(), ORIGIN: origin.tolist()}
    return VolumeMetadata(
        dimension_names=("z", "y", "x"),
        spacing=spacing,
        origin=None if place is None else axis_aligned_origin(place[0].T, place[1]),
        units=attempt(lambda: parse_names(tags["DistanceUnits"])),
        attributes=attributes,
    )


def _read_attributes(tags: dict[str, Any]) -> dict[str, Any]:
    """Return what other tags state, and slope and intercept unless they change nothing."""
    numbers = {name: parse_floats(tags.get(tag))[:1] for tag, name in _SCALING.items()}
    scaling = {name: number for name, stated in numbers.items() for number in stated}
    is_identity = (scaling.get("scale_factor", 1), scaling.get("add_offset", 0)) == (1, 0)
    kept = attributes_as_json(tags, without=_HIDDEN_TAGS)
    return {"metaimage": kept} | (scaling if not is_identity else {})


def check_metaimage_output(path: Path, shape: Shape, dtype: np.dtype) -> None:
    """Raise ``TypeError`` if MetaImage does not have a dtype."""
    import_extra("metaimageio", "io")
    check_written_dtype(path, dtype, _DTYPES, "MetaImage")


def create_metaimage(path: Path, shape: Shape, dtype: np.dtype, metadata: VolumeMetadata) -> FlatArray:
    """Create a ``.mha`` file with positions and the descriptions of the source.

    Positions in a unit of length that MetaImage does not have become millimetres. Other attributes have no
    place in it.
    """
    kept = kept_fields(metadata, "metaimage")
    # Few programs apply the slope: without a warning it is written where the source was MetaImage.
    holds_scaling = any(tag in kept for tag in _SCALING)
    warn_of_losses(metadata, dtype, "MetaImage", holds_scaling=holds_scaling)
    library = import_extra("metaimageio", "io")
    tags: dict[str, Any] = {
        tag: as_ascii(" ".join(kept[tag].split())) for tag in _COPIED_TAGS if isinstance(kept.get(tag), str)
    }
    if holds_scaling:
        tags |= {tag: kept[tag] for tag in _SCALING if parse_floats(kept.get(tag))}
    if (stated := units_of_lengths(metadata)) is not None:
        unit = stated[0] if len(set(stated)) == 1 and stated[0] in _UNITS else "mm"
        metadata = lengths_in(metadata, unit)
        tags["DistanceUnits"] = _UNITS[unit]
    affine = ras_affine(metadata)
    if affine is not None:
        # Volumes whose source names no space keep their positions as they are.
        is_oriented = metadata.attributes.keys() & {SPACE, "affine"}
        affine = RAS_FROM_LPS @ affine if is_oriented else affine
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        tags |= {"Offset": affine[:3, 3], "TransformMatrix": affine[:3, :3] / spacing}
        tags |= {"CenterOfRotation": np.zeros(3), "ElementSpacing": spacing}
    library.write(
        path,
        None,
        NDims=3,
        DimSize=shape[::-1],
        ElementType=dtype,
        CompressedData=False,
        **tags,
        ElementDataFile="LOCAL",
    )
    return FlatArray(path.absolute(), shape, dtype.newbyteorder("<"), path.stat().st_size)


def _read_tags(library: Any, file: SourceFile) -> dict[str, Any]:
    """Read the tags without the samples.

    The library reads compressed samples whole, and opens all files of samples, whenever it reads tags: it is
    given a copy of the header without the tags of these.
    """
    lines: list[bytes] = []
    is_compressed = False
    with file.path.open("rb") as stream:
        while not lines or not lines[-1].upper().startswith(b"ELEMENTDATAFILE"):
            line = stream.readline(_MOST_HEADER_BYTES)
            if not line or len(lines) == _MOST_LINES:
                raise ValueError("its header names no ElementDataFile")
            name, _, value = line.partition(b"=")
            if name.strip().upper() == b"COMPRESSEDDATA":
                is_compressed = value.strip().upper() == b"TRUE"
            elif name.strip().upper() != b"COMPRESSEDDATASIZE":
                lines.append(line.lstrip())
    with tempfile.TemporaryDirectory() as directory:
        header = Path(directory) / "header.mha"
        header.write_bytes(b"".join(lines[:-1]) + b"ElementDataFile = LOCAL\n")
        _, tags = library.read(header, slices=())
    return dict(tags) | ({"CompressedData": True} if is_compressed else {})


def _try_map(library: Any, file: SourceFile) -> np.memmap | None:
    """Map the samples; None if they are in several files."""
    try:
        mapped, _ = library.read(file.path, memmap=True)
    except ValueError as error:
        if any(fault in str(error) for fault in ("Only single ElementDataFile", "HeaderSizesPerDataFile")):
            return None
        raise
    return mapped


def _read_place(library: Any, tags: dict[str, Any], spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return directions (rows x, y, z) and origin (x, y, z)."""
    transform = library.util.get_transform(tags)
    return (transform[:3, :3] * spacing).T, transform[:3, 3]
