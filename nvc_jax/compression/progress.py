"""Progress of ``compress`` and ``decompress``."""

import dataclasses
import math
from collections.abc import Callable

import tensorstore as ts

from nvc_jax.core.shapes import Shape


@dataclasses.dataclass(frozen=True)
class ByteProgress:
    """Bytes that ``compress`` or ``decompress`` has worked through: 0 before the first chunk.

    Attributes:
        done_bytes: of the volume, in its own dtype.
        total_bytes: of the volume, or of this writer's part of it.
        stored_bytes: of the payloads that hold ``done_bytes`` in the container.
        chunk: voxels of a chunk along each axis. For a shape and a dtype that this computer has not met,
            programs are compiled before the first chunk is done.
        dtype: of the volume.
    """

    done_bytes: int
    total_bytes: int
    stored_bytes: int
    chunk: Shape
    dtype: str


def report_start(
    on_progress: Callable[[ByteProgress], None] | None, volume: ts.TensorStore, chunk: Shape
) -> None:
    """Report that nothing of a volume is done yet, and of which shape its chunks will be."""
    if on_progress is not None:
        dtype = volume.dtype.numpy_dtype
        on_progress(ByteProgress(0, math.prod(volume.shape) * dtype.itemsize, 0, chunk, str(dtype)))
