"""Folders of slices: one file of TIFF or PNG for each plane of a volume, in the natural order of their names.

In that order ``slice_10`` comes after ``slice_9``.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.file_format import SourceFile
from nvc_jax.io.last_result import LastResult
from nvc_jax.io.lazy import CACHE_BYTES, Index, lazy_store
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.readable import readable
from nvc_jax.io.tiff import parse_no_data, read_no_data

_TIFF, _PNG = (".tif", ".tiff"), (".png",)
_DTYPE_OF_MODE = {"L": "uint8", "I;16": "uint16", "I": "int32"}
"""Dtypes of Pillow's modes of images in grey; ``I`` is what old versions make of 16 bits."""


class Plane(NamedTuple):
    """Shape (y, x) and dtype, in native byte order, of a plane."""

    shape: tuple[int, ...]
    dtype: np.dtype


_SLICES: LastResult[list[tuple[Path, Plane, str | None]]] = LastResult()
"""Headers of slices that were read when a folder was opened."""


def has_slices(directory: Path) -> bool:
    """Tell whether a directory holds files of TIFF or PNG."""
    return any(_is_slice(path) for path in directory.iterdir())


def open_slices(folder: SourceFile) -> ts.TensorStore:
    """Open a folder of slices, which must all have one shape and one dtype, without loading them.

    Slices are decoded when they are read, and the last 256 MiB of them are kept.

    Raises:
        ModuleNotFoundError: the library that reads the slices is not installed.
        ValueError: the slices differ, a file is no image in grey, or holds several.
    """
    slices = _SLICES.take(folder.path, lambda: _describe_all(folder))
    planes = [plane for _, plane, _ in slices]
    return stack_planes(folder.name, [path for path, _, _ in slices], planes, _read)


def slices_metadata(folder: SourceFile) -> VolumeMetadata:
    """Read the missing values that slices of TIFF state; the distance of slices is not known."""
    slices = _SLICES.take(folder.path, lambda: _describe_all(folder))
    stated = dict.fromkeys(no_data for _, _, no_data in slices if no_data is not None)
    missing_values = dict.fromkeys(value for no_data in stated for value in parse_no_data(no_data))
    return VolumeMetadata(dimension_names=("z", "y", "x"), missing_values=tuple(missing_values))


def _describe_all(folder: SourceFile) -> list[tuple[Path, Plane, str | None]]:
    """Describe every slice: its path, its plane, and the missing value that it states as text."""
    return [(path, *_describe(path)) for path in _list_slices(folder)]


def stack_planes(
    name: str, paths: Sequence[Path], planes: Sequence[Plane], read: Callable[[Path], np.ndarray]
) -> ts.TensorStore:
    """Make a store of files that each hold a plane.

    Args:
        name: name of the folder, for error messages.
        paths: the files, in order.
        planes: shape and dtype of each.
        read: decodes a file.

    Raises:
        ValueError: the planes differ.
    """
    first = planes[0]
    for path, plane in zip(paths, planes, strict=True):
        if plane != first:
            raise ValueError(
                f"`{name}`: slices differ: `{paths[0].name}` is {_text(first)}, `{path.name}` is "
                f"{_text(plane)}"
            )

    def read_planes(index: Index) -> np.ndarray:
        z, y, x = cast(tuple[slice, slice, slice], index)
        return np.stack([read_plane(path)[y, x] for path in paths[z]])

    def read_plane(path: Path) -> np.ndarray:
        values = read(path)
        if Plane(values.shape, values.dtype.newbyteorder("=")) != first:
            raise ValueError(f"`{path}` has changed since it was opened")
        return values

    shape = (len(paths), *first.shape)
    return lazy_store(read_planes, shape, first.dtype, name, chunk=(1, *first.shape), cache_bytes=CACHE_BYTES)


def _text(plane: Plane) -> str:
    return f"{'·'.join(str(side) for side in plane.shape)} {plane.dtype.name}"


def _is_slice(path: Path) -> bool:
    return path.suffix.lower() in (*_TIFF, *_PNG) and not path.name.startswith(".") and path.is_file()


def _list_slices(folder: SourceFile) -> list[Path]:
    """List the slices in natural order; a gap in their numbers is warned of."""
    paths = sorted(filter(_is_slice, folder.path.iterdir()), key=_natural_key)
    formats = {"TIFF" if path.suffix.lower() in _TIFF else "PNG" for path in paths}
    if len(formats) != 1:
        raise ValueError(
            f"`{folder.name}` holds slices of {' and '.join(sorted(formats)) or 'no format'}; make a folder "
            "for each"
        )
    numbers = [int(found[-1]) for path in paths if (found := re.findall(r"\d+", path.stem))]
    steps = np.diff(numbers)
    if len(numbers) == len(paths) and len(set(steps.tolist())) > 1:
        gap = int(np.argmax(steps != np.median(steps)))
        warnings.warn(
            f"`{folder.name}`: the numbers of slices are not even: `{paths[gap + 1].name}` follows "
            f"`{paths[gap].name}`",
            stacklevel=2,
        )
    return paths


def _natural_key(path: Path) -> list[tuple[bool, int, str]]:
    """Return a key by which digits are compared as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _describe(path: Path) -> tuple[Plane, str | None]:
    if path.suffix.lower() in _TIFF:
        tifffile = import_extra("tifffile", "io")
        with readable(str(path), "TIFF"), tifffile.TiffFile(path) as file:
            page = file.pages.first
            if len(file.pages) != 1 or len(page.shape) != 2 or page.photometric.name == "PALETTE":
                raise ValueError(
                    f"a slice must be one image in grey; it has {len(file.pages)} × {page.shape}"
                )
            return Plane(tuple(page.shape), np.dtype(page.dtype).newbyteorder("=")), read_no_data(file)
    image_module = import_extra("PIL.Image", "io")
    with readable(str(path), "PNG"), image_module.open(path) as image:
        return Plane(image.size[::-1], _dtype_of(image)), None


def _dtype_of(image: Any) -> np.dtype:
    if image.mode not in _DTYPE_OF_MODE:
        raise ValueError(f"a slice must be an image in grey of 8 or 16 bits; its mode is {image.mode}")
    return np.dtype(_DTYPE_OF_MODE[image.mode])


def _read(path: Path) -> np.ndarray:
    if path.suffix.lower() in _TIFF:
        with readable(str(path), "TIFF"):
            return np.asarray(import_extra("tifffile", "io").imread(path, maxworkers=1))
    with readable(str(path), "PNG"), import_extra("PIL.Image", "io").open(path) as image:
        return np.asarray(image, _dtype_of(image))
