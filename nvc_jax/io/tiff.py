"""TIFF files: ``.tif`` and ``.tiff``, with the metadata of ImageJ, OME and GDAL."""

import dataclasses
import math
import os
import threading
import warnings
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.declared_values import parse_floats
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.lazy import CACHE_BYTES, FlatArray, Index, OpenFile, lazy_store
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    kept_axes,
    parse_names,
    parse_spacing,
)
from nvc_jax.io.readable import readable

_GDAL_NODATA = 42113
"""Tag by which GDAL states the missing value, as text."""

_OME_DEFAULT_UNIT = "µm"
"""Unit of OME's physical sizes where none is stated (OME data model, ``PhysicalSizeXUnit``)."""


def open_tiff(file: SourceFile) -> ts.TensorStore:
    """Open the first series of a TIFF file.

    Contiguous samples are mapped. If each page is a plane of the volume, pages are decoded when they are
    read, and the last 256 MiB of them are kept. Any other file is loaded into memory.
    """
    import_extra("tifffile", "io")
    with readable(file.name, "TIFF"):
        series = _Series(file.path)
        offset = series.data_offset
    if offset is not None:
        array = FlatArray(file.path, series.shape, series.stored_dtype, offset)
        with readable(file.name, "TIFF"):
            array.check_size(file.name)
        return array.as_store(file.name, axis_names=series.axis_names)
    if series.has_a_page_per_plane:
        chunk = [1] * len(series.shape)
        for axis in series.volume_axes[1:]:
            chunk[axis] = series.shape[axis]
        return lazy_store(
            series.read,
            series.shape,
            series.dtype,
            file.name,
            chunk=chunk,
            axis_names=series.axis_names,
            cache_bytes=CACHE_BYTES,
        )
    with readable(file.name, "TIFF"):
        values = series.load()
    return lazy_store(values.__getitem__, values.shape, values.dtype, file.name, axis_names=series.axis_names)


class _Series:
    """The first series of pages of an open TIFF file. The file is closed together with the object.

    Attributes:
        shape: shape of the series, with axes of length 1.
        axis_names: a letter for each axis, as tifffile names them.
        dtype: dtype of decoded samples.
        volume_axes: the axes z, y, x of ``shape``; all axes if they are not three.
    """

    def __init__(self, path: Path) -> None:
        self._open_file = OpenFile(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
        file = import_extra("tifffile", "io").TiffFile(self._open_file.stream(str(path)))
        self._series = file.series[0]
        self._lock = threading.Lock()
        self.shape = tuple(int(side) for side in self._series.get_shape(squeeze=False))
        self.axis_names = list(self._series.get_axes(squeeze=False))
        self.dtype = np.dtype(self._series.dtype)
        self.volume_axes = kept_axes(self.shape, self.axis_names)

    @property
    def data_offset(self) -> int | None:
        """Byte of the file at which the samples begin; None unless they are contiguous and not compressed."""
        offset = self._series.dataoffset
        return None if offset is None else int(offset)

    @property
    def stored_dtype(self) -> np.dtype:
        """Dtype of the samples in the byte order of the file."""
        return self.dtype.newbyteorder(self._series.parent.byteorder)

    @property
    def has_a_page_per_plane(self) -> bool:
        """True if each page is one plane of the volume."""
        if len(self.volume_axes) != 3:
            return False
        n_planes, *plane_sides = [self.shape[axis] for axis in self.volume_axes]
        return len(self._series.pages) == n_planes and self._series.keyframe.size == math.prod(plane_sides)

    def read(self, index: Index) -> np.ndarray:
        """Decode the pages that ``index`` touches."""
        parts = tuple(index[axis] for axis in self.volume_axes)
        planes, rows, columns = cast(tuple[slice, slice, slice], parts)
        n_planes = self.shape[self.volume_axes[0]]
        return np.stack([self._read_page(z)[rows, columns] for z in range(n_planes)[planes]])

    def _read_page(self, z: int) -> np.ndarray:
        plane_sides = [self.shape[axis] for axis in self.volume_axes[1:]]
        with self._lock:
            page = self._series.pages[z]
            if page is None:  # OME-TIFF may lack planes.
                return np.zeros(plane_sides, self.dtype)
            return page.asarray(maxworkers=1).reshape(plane_sides)

    def load(self) -> np.ndarray:
        """Decode the complete series."""
        return self._series.asarray(maxworkers=1).reshape(self.shape)


def tiff_metadata(file: SourceFile) -> VolumeMetadata:
    """Read spacing, units and attributes as OME or ImageJ state them, or the image description."""
    tifffile = import_extra("tifffile", "io")
    with readable(file.name, "TIFF"), tifffile.TiffFile(file.path) as tiff:
        page, ome, imagej = tiff.pages.first, tiff.ome_metadata, tiff.imagej_metadata
        description = page.description
        resolutions = attempt(lambda: [page.tags[f"{axis}Resolution"].value for axis in "YX"]) or []
        no_data = read_no_data(tiff)
    if ome is not None:
        metadata = _ome_metadata(ome)
    elif imagej is not None:
        metadata = _imagej_metadata(imagej, resolutions)
    else:
        metadata = VolumeMetadata(attributes={"ImageDescription": description} if description else {})
    return metadata if no_data is None else _with_no_data(metadata, no_data)


def read_no_data(tiff: Any) -> str | None:
    """Read the missing value that GDAL states as text in an open file; None where there is none."""
    return attempt(lambda: str(tiff.series[0].keyframe.tags[_GDAL_NODATA].value))


def parse_no_data(no_data: str) -> tuple[float, ...]:
    """Return the missing values that a text states; none with a warning where it is no number."""
    missing_values = tuple(parse_floats(no_data))
    if not missing_values:
        warnings.warn(f"GDAL's missing value {no_data!r} is no number; it is ignored", stacklevel=2)
    return missing_values


def _with_no_data(metadata: VolumeMetadata, no_data: str) -> VolumeMetadata:
    """Add the missing value that GDAL states as text."""
    missing_values = parse_no_data(no_data)
    attributes = {**metadata.attributes, "GDAL_NODATA": no_data.strip("\0 ")}
    return dataclasses.replace(metadata, attributes=attributes, missing_values=missing_values)


def _ome_metadata(document: str) -> VolumeMetadata:
    pixels = attempt(lambda: _pixel_attributes(document)) or {}
    return VolumeMetadata(
        dimension_names=("z", "y", "x"),
        spacing=attempt(lambda: parse_spacing([pixels[f"PhysicalSize{axis}"] for axis in "ZYX"])),
        units=parse_names([pixels.get(f"PhysicalSize{axis}Unit", _OME_DEFAULT_UNIT) for axis in "ZYX"]),
        attributes={"OME-XML": document},
    )


def _pixel_attributes(document: str) -> dict[str, str]:
    pixels = ElementTree.fromstring(document).find(".//{*}Pixels")
    return {} if pixels is None else dict(pixels.attrib)


def _imagej_metadata(imagej: dict[str, Any], resolutions: list[tuple[int, int]]) -> VolumeMetadata:
    """Read ImageJ's metadata; ``resolutions`` are pixels per unit along y and x, as fractions."""
    return VolumeMetadata(
        dimension_names=("z", "y", "x"),
        spacing=attempt(
            lambda: parse_spacing([imagej["spacing"], *(units / pixels for pixels, units in resolutions)])
        ),
        units=attempt(lambda: parse_names(imagej["unit"].replace("\\u00B5", "µ"))),
        attributes=attributes_as_json({"ImageJ": imagej}),
    )
