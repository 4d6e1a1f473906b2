"""Scientific files that keep their samples in pieces: TIFF and HDF5 (NetCDF 4 is HDF5)."""

import math
import threading
import weakref
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.lazy import CACHE_BYTES, Flat, Index, lazy_store
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    kept_axes,
    names3,
    spacing3,
)
from nvc_jax.io.readable import readable


class _Stack:
    """Pages of an open TIFF file, decoded one at a time."""

    def __init__(self, path: Path) -> None:
        self._file = import_extra("tifffile", "io").TiffFile(path)
        weakref.finalize(self, self._file.close)
        self.series = self._file.series[0]
        self.shape = tuple(int(side) for side in self.series.get_shape(squeeze=False))
        self.axis_names = list(self.series.get_axes(squeeze=False))
        self.dtype = np.dtype(self.series.dtype)
        self._lock = threading.Lock()

    @property
    def is_plain(self) -> bool:
        """Whether each page is one plane of the volume."""
        kept = kept_axes(self.shape, self.axis_names)
        sides = [self.shape[axis] for axis in kept]
        planes = len(self.series.pages) == sides[0] and self.series.keyframe.size == math.prod(sides[1:])
        return len(kept) == 3 and planes

    def read(self, index: Index) -> np.ndarray:
        """Decode the pages that ``index`` touches."""
        kept = kept_axes(self.shape, self.axis_names)
        planes, rows, columns = cast(tuple[slice, slice, slice], tuple(index[axis] for axis in kept))
        sides = [self.shape[axis] for axis in kept[1:]]
        return np.stack([self._page(z, sides)[rows, columns] for z in range(self.shape[kept[0]])[planes]])

    def _page(self, z: int, sides: list[int]) -> np.ndarray:
        with self._lock:
            page = self.series.pages[z]
            # OME-TIFF may lack planes.
            return np.zeros(sides, self.dtype) if page is None else page.asarray(maxworkers=1).reshape(sides)

    def load(self) -> np.ndarray:
        """The whole series."""
        return self.series.asarray(maxworkers=1).reshape(self.shape)


def open_tiff(path: Path, name: str) -> ts.TensorStore:
    """The first series of a TIFF file, as ImageJ, OME and others write it.

    Contiguous samples are mapped; of a stack of pages those that are asked for are decoded, and the last
    256 MiB of them kept; anything else is loaded whole.
    """
    import_extra("tifffile", "io")
    with readable(name, "TIFF"):
        stack = _Stack(path)
        offset = stack.series.dataoffset
    if offset is not None:
        dtype = stack.dtype.newbyteorder(stack.series.parent.byteorder)
        flat = Flat(path.absolute(), stack.shape, dtype, int(offset))
        with readable(name, "TIFF"):
            flat.check_size(name)
        return flat.store(name, axis_names=stack.axis_names)
    if stack.is_plain:
        chunk = [1] * len(stack.shape)
        for axis in kept_axes(stack.shape, stack.axis_names)[1:]:
            chunk[axis] = stack.shape[axis]
        options: dict[str, Any] = {"chunk": chunk, "cache_bytes": CACHE_BYTES}
        return lazy_store(stack.read, stack.shape, stack.dtype, name, axis_names=stack.axis_names, **options)
    with readable(name, "TIFF"):
        array = stack.load()
    return lazy_store(array.__getitem__, array.shape, array.dtype, name, axis_names=stack.axis_names)


def tiff_metadata(path: Path) -> VolumeMetadata:
    """Spacing as ImageJ and OME state it, and their attributes."""
    tifffile = import_extra("tifffile", "io")
    with readable(str(path), "TIFF"), tifffile.TiffFile(path) as file:
        page, ome, imagej = file.pages.first, file.ome_metadata, file.imagej_metadata
        description = page.description
        per_unit = attempt(lambda: [page.tags[f"{axis}Resolution"].value for axis in "YX"]) or []
    if ome is not None:
        pixels = attempt(lambda: _ome_pixels(ome)) or {}
        return VolumeMetadata(
            dimension_names=("z", "y", "x"),
            spacing=attempt(lambda: spacing3([pixels[f"PhysicalSize{axis}"] for axis in "ZYX"])),
            units=names3([pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"]),
            attributes={"OME-XML": ome},
        )
    if imagej is not None:
        return VolumeMetadata(
            dimension_names=("z", "y", "x"),
            spacing=attempt(
                lambda: spacing3([imagej["spacing"], *(below / above for above, below in per_unit)])
            ),
            units=attempt(lambda: names3(imagej["unit"].replace("\\u00B5", "µ"))),
            attributes=attributes_as_json({"ImageJ": imagej}),
        )
    return VolumeMetadata(attributes={"ImageDescription": description} if description else {})


def _ome_pixels(document: str) -> dict[str, str]:
    pixels = ElementTree.fromstring(document).find(".//{*}Pixels")
    return {} if pixels is None else dict(pixels.attrib)
