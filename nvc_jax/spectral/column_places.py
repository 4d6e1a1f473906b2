"""Columns of a volume given by their places, so that a kernel can read their voxels from the volume."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.transform.separable import Original

COLUMN_SIDE = 16
"""Largest side of a column along the axes that it does not span, in voxels."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["volume", "limits", "valid_shape", "corners", "drawn"],
    meta_fields=["axis", "row"],
)
@dataclasses.dataclass(frozen=True)
class PlacedColumns:
    """Columns along one axis of a volume, which comes first; the others follow in the order z, y, x.

    Attributes:
        volume: (z, y, x), a device dtype; float32 if it is scaled.
        limits: float32, values of the volume that become −½ and ½; None if it is scaled.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume; others are padding.
        corners: int32 (m, 3), first voxels along z, y, x of columns that cover the volume.
        drawn: int32 (k, n), in one row the indices of those that are drawn.
        axis: index of the axis; static.
        row: index of the row; static.
    """

    volume: jax.Array
    limits: tuple[jax.Array, jax.Array] | None
    valid_shape: jax.Array
    corners: jax.Array
    drawn: jax.Array
    axis: int
    row: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of columns, side of the axis, and two sides of at most COLUMN_SIDE."""
        along, first, second = (self.sides[axis] for axis in self.axes)
        return self.drawn.shape[1], along, first, second

    @property
    def sides(self) -> Shape3:
        """Sides of the columns along z, y, x."""
        return column_sides(check_shape(self.volume.shape), self.axis)

    @property
    def axes(self) -> tuple[int, int, int]:
        """Axes of the volume in the order of columns."""
        first, second = (other for other in range(3) if other != self.axis)
        return self.axis, first, second

    @property
    def starts(self) -> jax.Array:
        """First voxels of the columns that are drawn, int32 (n, 3) along z, y, x."""
        return self.corners[self.drawn[self.row]]

    @property
    def valid_shapes(self) -> jax.Array:
        """Voxels of each column along its axes that lie in the volume, int32 (n, 3)."""
        sides = jnp.array(self.sides, jnp.int32)
        return count_valid(self.valid_shape[None], self.starts, sides[None])[:, np.array(self.axes)]

    def take(self) -> jax.Array:
        """Take the voxels, scaled to [−½, ½]: float32 of the shape of the columns."""
        cut = jax.vmap(lambda start: lax.dynamic_slice(self.volume, start, self.sides))(self.starts)
        return jnp.moveaxis(scale_voxels(cut, self.limits), 1 + self.axis, 1)


def count_valid(valid: jax.Array, start: jax.Array, side: jax.Array | int) -> jax.Array:
    """Count the voxels of columns, at least 1, that lie in a volume of ``valid`` voxels, along an axis."""
    return jnp.clip(valid - start, 1, side)


def scale_voxels(voxels: jax.Array, limits: tuple[jax.Array, jax.Array] | None) -> jax.Array:
    """Scale voxels to [−½, ½], float32; ``limits`` as those of ``PlacedColumns``."""
    return voxels if limits is None else Original(voxels, *limits).scaled(voxels)


def column_sides(shape: Shape3, axis: int) -> Shape3:
    """Get the sides, along z, y, x, of the columns of a volume along an axis."""
    return check_shape(
        tuple(side if other == axis else min(side, COLUMN_SIDE) for other, side in enumerate(shape))
    )
