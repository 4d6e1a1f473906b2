"""Windows: a chunk's blocks with a halo of the blocks around them.

A block's margin, and the blending of decoded margins, reach into the blocks around it. A *window* holds a
chunk's blocks and its halo. All windows of a volume have one shape, so that one compiled program serves them;
at the ends of the volume a window is shifted inwards. No result depends on how the volume is cut.
"""

import dataclasses

from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.shapes import Shape3


@dataclasses.dataclass(frozen=True)
class Window:
    """A chunk's blocks and those around them.

    Attributes:
        first: (z, y, x) index of the window's first block in the volume's grid of blocks.
        shape: (z, y, x) blocks of the window.
        chunk: the chunk's blocks within the window.
    """

    first: Shape3
    shape: Shape3
    chunk: Region

    @property
    def region(self) -> Region:
        """The window's blocks in the volume's grid of blocks."""
        return tuple(slice(a, a + n) for a, n in zip(self.first, self.shape, strict=True))


def make_window(chunk: Region, chunk_blocks: Shape3, grid: Shape3, halo: int) -> Window:
    """Make the window of a chunk.

    Args:
        chunk: the chunk's blocks in the volume's grid of blocks.
        chunk_blocks: (z, y, x) blocks of a whole chunk.
        grid: (z, y, x) blocks of the volume.
        halo: blocks wanted on every side, as far as the volume has them.
    """
    shape = [min(side, n + 2 * halo) for n, side in zip(chunk_blocks, grid, strict=True)]
    first = [
        min(max(part.start - halo, 0), side - n) for part, n, side in zip(chunk, shape, grid, strict=True)
    ]
    inside = tuple(slice(part.start - a, part.stop - a) for part, a in zip(chunk, first, strict=True))
    return Window(tuple(first), tuple(shape), inside)  # type: ignore[arg-type]


def scale_region(region: Region, factor: int) -> Region:
    """Convert a region in blocks to one in voxels."""
    return tuple(slice(part.start * factor, part.stop * factor) for part in region)
