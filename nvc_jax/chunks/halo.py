"""Block autoencoders on volumes larger than memory: chunks with as many blocks around them as they need.

A block's margin, and the blending of decoded margins, reach into the blocks around it. A *window* holds a
chunk's blocks and some on every side; it slides along the volume's boundaries rather than shrinks, so that one
program serves all chunks, and no result depends on how the volume is cut.
"""

import dataclasses

from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.shapes import Shape3


@dataclasses.dataclass(frozen=True)
class Window:
    """Blocks around a chunk.

    Attributes:
        first: (z, y, x) of its first block in the volume's grid.
        blocks: (z, y, x), how many blocks it has; the same for all chunks of a volume.
        chunk: where the chunk's blocks lie in it.
    """

    first: Shape3
    blocks: Shape3
    chunk: Region


def make_window(chunk: Region, room: Shape3, grid: Shape3, halo: int) -> Window:
    """The window of a chunk.

    Args:
        chunk: its blocks in the volume's grid.
        room: (z, y, x) blocks to a whole chunk.
        grid: (z, y, x) blocks of the volume.
        halo: how many blocks there should be on every side, if the volume has them.
    """
    blocks = [min(most, n + 2 * halo) for n, most in zip(room, grid, strict=True)]
    first = [
        min(max(part.start - halo, 0), most - n) for part, n, most in zip(chunk, blocks, grid, strict=True)
    ]
    inside = tuple(slice(part.start - a, part.stop - a) for part, a in zip(chunk, first, strict=True))
    return Window(tuple(first), tuple(blocks), inside)  # type: ignore[arg-type]


def scaled(place: Region, by: int) -> Region:
    """A place in blocks as one in voxels."""
    return tuple(slice(part.start * by, part.stop * by) for part in place)
