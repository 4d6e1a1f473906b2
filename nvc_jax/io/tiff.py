"""TIFF files: ``.tif`` and ``.tiff``, with the metadata of ImageJ, OME and GDAL."""

import dataclasses
import math
import os
import threading
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.core.shapes import default_names
from nvc_jax.io.declared_values import parse_floats
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.lazy import CACHE_BYTES, FlatArray, Index, OpenFile, lazy_store
from nvc_jax.io.metadata import (
    VolumeMetadata,
    attempt,
    attributes_as_json,
    parse_names,
    parse_spacing,
)
from nvc_jax.io.readable import readable
from nvc_jax.io.tiff_pages import check_pages
from nvc_jax.io.tiff_tags import tag_attributes

_GDAL_NODATA = 42113
"""Tag by which GDAL states the missing value, as text."""

_MOST_LISTED = 3
"""Further images whose shapes a message lists at most."""
_OME_STEPS = {"T": "TimeIncrement"}
"""Attributes of OME that state the distance along axes other than those of space."""
_OME_DEFAULT_UNIT = "µm"
"""Unit of OME's physical sizes where none is stated (OME data model, ``PhysicalSizeXUnit``)."""


def open_tiff(file: SourceFile) -> ts.TensorStore:
    """Open the first series of a TIFF file, with a warning if there are more, or if planes of it are missing.

    Contiguous samples are mapped. If each page is a plane of the volume, or a plane of several samples, pages
    are decoded when they are read, and the last 256 MiB of them are kept. Any other file is loaded into
    memory.
    """
    import_extra("tifffile", "io")
    with readable(file.name, "TIFF"):
        check_pages(file.path)
        series = _Series(file.path)
        offset = series.data_offset
    for fault in series.faults():
        warnings.warn(f"`{file.name}` {fault}", stacklevel=2)
    if offset is not None:
        array = FlatArray(file.path, series.shape, series.stored_dtype, offset)
        with readable(file.name, "TIFF"):
            array.check_size(file.name)
        return array.as_store(file.name)
    if series.n_page_axes:
        n_before = len(series.shape) - series.n_page_axes
        chunk = (*[1] * n_before, *series.shape[n_before:])
        return lazy_store(
            series.read, series.shape, series.dtype, file.name, chunk=chunk, cache_bytes=CACHE_BYTES
        )
    with readable(file.name, "TIFF"):
        values = series.load()
    return lazy_store(values.__getitem__, values.shape, values.dtype, file.name)


class _Series:
    """The first series of pages of an open TIFF file. The file is closed together with the object.

    Attributes:
        shape: shape of the series, without axes of length 1 other than Y and X.
        dtype: dtype of decoded samples.
        n_page_axes: number of the last axes, whose samples are one page; 0 if a page is none of such parts.
    """

    def __init__(self, path: Path) -> None:
        self._open_file = OpenFile(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
        file = import_extra("tifffile", "io").TiffFile(self._open_file.stream(str(path)))
        self._series = file.series[0]
        self._lock, self._name = threading.Lock(), str(path)
        self.shape = tuple(int(side) for side in self._series.get_shape(squeeze=True))
        self.dtype = np.dtype(self._series.dtype)
        n_pages, size = len(self._series.pages), self._series.keyframe.size
        self.n_page_axes = next(
            (
                n
                for n in range(2, len(self.shape) + 1)
                if math.prod(self.shape[-n:]) == size and math.prod(self.shape[:-n]) == n_pages
            ),
            0,
        )

    def faults(self) -> list[str]:
        """Say what of the file is not read: further series, but for smaller copies, and missing planes."""
        file, faults = self._series.parent, []
        others = [series for series in file.series[1:] if not series.keyframe.is_reduced]
        if others:
            shapes = [str(series.shape) for series in others[:_MOST_LISTED]]
            listed = ", ".join([*shapes, *["…"] * (len(others) > _MOST_LISTED)])
            faults.append(
                f"holds {len(others)} further images, of shape {listed}, which are left out: the first, of "
                f"shape {self._series.shape}, is read; save them to files of their own, or planes of one "
                "volume by one call of the library that writes them"
            )
        pages = self._series.pages if file.is_ome else ()
        if n_missing := sum(page is None for page in pages):
            faults.append(
                f"lacks {n_missing} of its {len(pages)} planes, which are read as 0: if they are in other "
                "files, put these beside it"
            )
        return faults

    @property
    def data_offset(self) -> int | None:
        """Byte of the file at which the samples begin; None unless they are contiguous and not compressed."""
        offset = self._series.dataoffset
        return None if offset is None else int(offset)

    @property
    def stored_dtype(self) -> np.dtype:
        """Dtype of the samples in the byte order of the file."""
        return self.dtype.newbyteorder(self._series.parent.byteorder)

    def read(self, index: Index) -> np.ndarray:
        """Decode the pages that ``index`` touches."""
        n_before = len(self.shape) - self.n_page_axes
        before, within = index[:n_before], index[n_before:]
        numbers = np.arange(math.prod(self.shape[:n_before])).reshape(self.shape[:n_before])[before]
        pages = np.stack([self._read_page(int(number))[within] for number in numbers.reshape(-1)])
        return pages.reshape(*numbers.shape, *pages.shape[1:])

    def _read_page(self, number: int) -> np.ndarray:
        sides = self.shape[len(self.shape) - self.n_page_axes :]
        with self._lock:
            page = self._series.pages[number]
            if page is None:  # OME-TIFF may lack planes.
                return np.zeros(sides, self.dtype)
            with readable(self._name, "TIFF"):  # TensorStore has no text for the errors of decoders
                return page.asarray(maxworkers=1).reshape(sides)

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
        no_data, tags = read_no_data(tiff), attempt(lambda: tag_attributes(tiff)) or {}
        letters = str(tiff.series[0].get_axes(squeeze=True))
    if ome is not None:
        metadata = _ome_metadata(ome, letters)
    elif imagej is not None:
        metadata = _imagej_metadata(imagej, resolutions, letters)
    else:
        has_channels = any(letter in letters for letter in "TCS")
        metadata = VolumeMetadata(
            dimension_names=_names(letters) if has_channels else None,
            attributes={"ImageDescription": description} if description else {},
        )
    metadata = dataclasses.replace(metadata, attributes=metadata.attributes | tags)
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


def _names(letters: str) -> tuple[str, ...]:
    """Name the axes that tifffile names by letters; some letters stand for axes that it does not know."""
    defaults = default_names(len(letters))
    known = [letter.lower() if letter in "TZCYXS" else "" for letter in letters]
    return tuple(
        name or (default if default not in known else f"dim_{axis}")
        for axis, (name, default) in enumerate(zip(known, defaults, strict=True))
    )


def _ome_metadata(document: str, letters: str) -> VolumeMetadata:
    pixels = attempt(lambda: _pixel_attributes(document)) or {}
    rank = len(letters)
    keys = [f"PhysicalSize{letter}" if letter in "ZYX" else _OME_STEPS.get(letter, "") for letter in letters]
    units = [
        pixels.get(f"{key}Unit", _OME_DEFAULT_UNIT if letter in "ZYX" else "s") if key else None
        for key, letter in zip(keys, letters, strict=True)
    ]
    return VolumeMetadata(
        dimension_names=_names(letters),
        spacing=attempt(lambda: parse_spacing([pixels.get(key) for key in keys], rank)),
        units=parse_names(units, rank),
        attributes={"OME-XML": document},
    )


def _pixel_attributes(document: str) -> dict[str, str]:
    pixels = ElementTree.fromstring(document).find(".//{*}Pixels")
    return {} if pixels is None else dict(pixels.attrib)


def _imagej_metadata(
    imagej: dict[str, Any], resolutions: list[tuple[int, int]], letters: str
) -> VolumeMetadata:
    """Read ImageJ's metadata; ``resolutions`` are pixels per unit along y and x, as fractions."""
    rank = len(letters)
    unit = attempt(lambda: imagej["unit"].replace("\\u00B5", "µ"))
    sides = {letter: attempt(lambda n=n: n[1] / n[0]) for letter, n in zip("YX", resolutions, strict=False)}  # type: ignore[misc]
    sides |= {"Z": imagej.get("spacing"), "T": imagej.get("finterval")}
    units = {**dict.fromkeys("ZYX", unit), "T": imagej.get("tunit", "s" if sides["T"] else None)}
    return VolumeMetadata(
        dimension_names=_names(letters),
        spacing=parse_spacing([sides.get(letter) for letter in letters], rank),
        units=parse_names([units.get(letter) for letter in letters], rank),
        attributes=attributes_as_json({"ImageJ": imagej}),
    )
