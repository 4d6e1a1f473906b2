"""Frames of DICOM files: what the header of a file says of one of its planes, and the samples of all of them.

A file with several frames (enhanced CT and MR) states what differs between frames, or groups of facts that
they share, in *functional groups*. A grid of doses (RT Dose) states the offset of each frame.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import tensorstore as ts

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.lazy import CACHE_BYTES, FlatArray, Index, lazy_store
from nvc_jax.io.readable import readable

_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    **dict.fromkeys(("PixelSpacing", "SliceThickness"), "PixelMeasuresSequence"),
    **dict.fromkeys(("RescaleSlope", "RescaleIntercept", "RescaleType"), "PixelValueTransformationSequence"),
    **dict.fromkeys(("WindowCenter", "WindowWidth"), "FrameVOILUTSequence"),
}
"""Functional groups that state attributes of a frame."""
_PER_FRAME, _SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
_DEFERRED_BYTES = 1024
"""Bytes from which on values, such as the samples, are not read with a header."""


class Frame:
    """A plane in a file: its attributes by name, as pydicom has them.

    Args:
        path: of the file.
        header: of the file, without its samples.
        number: of the frame, from 0 on; None in a file that holds one plane.
    """

    def __init__(self, path: Path, header: Any, number: int | None = None) -> None:
        self.path, self.header, self.number = path, header, number

    @property
    def name(self) -> str:
        """Name of the frame for messages."""
        return self.path.name if self.number is None else f"{self.path.name}, frame {self.number + 1}"

    def get(self, name: str) -> Any:
        """Return an attribute of the frame, or else of the file; None if neither states it."""
        if self.number is None:
            return self.header.get(name)
        if name == "InstanceNumber":
            return self.number
        if name in _GROUPS:
            for items, index in ((self.header.get(_PER_FRAME), self.number), (self.header.get(_SHARED), 0)):
                group = items[index].get(_GROUPS[name]) if items and index < len(items) else None
                if group and group[0].get(name) is not None:
                    return group[0].get(name)
        value = self.header.get(name)
        return self._offset_position(value) if name == "ImagePositionPatient" else value

    def _offset_position(self, position: Any) -> Any:
        """Move the position of a grid of doses by the offset of the frame; None where it states none."""
        offsets = self.header.get("GridFrameOffsetVector")
        if position is None or offsets is None:
            return None  # one position is not that of every frame
        orientation = np.array(self.header.ImageOrientationPatient, np.float64)
        normal = np.cross(orientation[:3], orientation[3:])
        # Offsets are relative to the first frame, or positions along the normal: a difference is both.
        return np.array(position, np.float64) + normal * (float(offsets[self.number]) - float(offsets[0]))


def count_frames(header: Any) -> int:
    """Number of frames of a file."""
    return int(header.get("NumberOfFrames") or 1)


def frames_of(path: Path, header: Any) -> list[Frame]:
    """List the frames of a file in the order in which they are stored."""
    n_frames = count_frames(header)
    return [Frame(path, header)] if n_frames == 1 else [Frame(path, header, i) for i in range(n_frames)]


def open_frames(
    frames: Sequence[Frame], plane: tuple[int, ...], dtype: np.dtype, name: str
) -> ts.TensorStore:
    """Open the frames of one file without loading them; the last 256 MiB of decoded ones are kept.

    Args:
        frames: in the order of the planes.
        plane: (y, x) samples of a frame.
        dtype: of the samples.
        name: of the file, for messages.
    """
    path, order = frames[0].path, np.array([frame.number for frame in frames])
    mapped = _map_samples(path, (len(frames), *plane), dtype)
    if mapped is not None:
        mapped.check_size(name)

    def read(index: Index) -> np.ndarray:
        z, y, x = cast(tuple[slice, slice, slice], index)
        if mapped is not None:
            return mapped.read((slice(None),) * 3)[order[z]][:, y, x]
        return np.stack([read_frame(path, int(number))[y, x] for number in order[z]])

    return lazy_store(read, (len(frames), *plane), dtype, name, chunk=(1, *plane), cache_bytes=CACHE_BYTES)


def read_frame(path: Path, number: int | None) -> np.ndarray:
    """Decode a frame, or the only one."""
    with readable(str(path), "DICOM"):
        pixels = import_extra("pydicom.pixels", "io")
        return np.asarray(pixels.pixel_array(path, index=number, raw=True))


def _map_samples(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> FlatArray | None:
    """Find the samples in a file; None where they are compressed."""
    with readable(str(path), "DICOM"):
        header = import_extra("pydicom", "io").dcmread(path, defer_size=_DEFERRED_BYTES)
        syntax = header.file_meta.TransferSyntaxUID
        samples = header.get_item("PixelData")
        start = getattr(samples, "value_tell", None)
        if syntax.is_compressed or not start or int(header.BitsAllocated) != 8 * dtype.itemsize:
            return None
    return FlatArray(path, shape, dtype.newbyteorder("<" if syntax.is_little_endian else ">"), start)
