"""Reconstruction of volumes by kernels of GPUs: coefficients are made where the transform loads them.

Integers are taken from the sequence in which they were coded, or from blocks. So neither integers in the
order of coefficients nor coefficients go through the memory. ``scan_order.from_scan_order`` and
``dequantization`` have the specification, and ``transform.group_separable`` has the kernels.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.core.group_kernels import load_where
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.spectral.dependent_quantization import to_integers
from nvc_jax.spectral.entropy_model import EntropyModel
from nvc_jax.spectral.scan_order import ScanOrder
from nvc_jax.transform import group_separable
from nvc_jax.transform.block_layout import BlockLayout
from nvc_jax.transform.group_separable import locate_coefficients
from nvc_jax.transform.separable import AxisTransform


class BlockPoints(NamedTuple):
    """Points of n blocks in the order of coefficients.

    Attributes:
        points: int32 (n, 512), in half steps.
    """

    points: Any

    def load(self, block: jax.Array, coefficient: jax.Array, exists: jax.Array) -> jax.Array:
        """Read points within a kernel, int32; 0 where there are none."""
        return load_where(self.points, (block, coefficient), exists)


class CodedPoints(NamedTuple):
    """Points of n blocks in the order in which they were coded.

    Attributes:
        coded: int32, points of all blocks in half steps, end to end.
        starts: int32 (n,), index of the first one of each block.
        counts: int32 (n,), number of those of each block.
        partial_types: int32 (n,), of the blocks.
        positions: int32 (8, 512), of the scan.
    """

    coded: Any
    starts: Any
    counts: Any
    partial_types: Any
    positions: Any

    def load(self, block: jax.Array, coefficient: jax.Array, exists: jax.Array) -> jax.Array:
        """Read points within a kernel, int32; 0 for those that are not coded."""
        partial_type = load_where(self.partial_types, (block,), exists)
        position = load_where(self.positions, (partial_type, coefficient), exists)
        is_coded = exists & (position >= 0) & (position < load_where(self.counts, (block,), exists))
        return load_where(self.coded, (load_where(self.starts, (block,), exists) + position,), is_coded)


def coded_points(scan: ScanOrder, layout: BlockLayout, counts: jax.Array, coded: jax.Array) -> CodedPoints:
    """Find the points of blocks in the sequence of all; arguments as of ``scan_order.from_scan_order``."""
    starts = jnp.cumsum(counts, dtype=jnp.int32) - counts
    return CodedPoints(coded, starts, counts, layout.partial_type, scan.positions)


class _Source(NamedTuple):
    """All that says what the coefficients of n blocks are.

    Attributes:
        points: of the blocks.
        classes: int32 (n,).
        first: int32 (n,), first coefficients in steps.
        tables: int32 (K, 512), of the entropy model.
        offsets: float32 (Q·R, 2), of the entropy model.
        step: float32 (1,), of the quantiser.
    """

    points: BlockPoints | CodedPoints
    classes: Any
    first: Any
    tables: Any
    offsets: Any
    step: Any


def reconstruct(
    model: EntropyModel,
    points: BlockPoints | CodedPoints,
    classes: jax.Array,
    first: jax.Array,
    step: jax.Array,
    transforms: list[AxisTransform],
    limits: tuple[jax.Array, jax.Array],
    shape: Shape3,
    dtype: str,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Reconstruct a volume from its integers.

    Args:
        model: entropy model of the profile.
        points: of the n blocks.
        classes: int32 (n,).
        first: int32 (n,), first coefficients in steps.
        step: float32, of the quantiser, relative to the range.
        transforms: of the three axes.
        limits: float32, ends of the volume's range.
        shape: of the volume; static.
        dtype: of the volume; static.
        interpret: run the kernels by ``jax.numpy``, on any device, for tests.
    """
    source = _Source(points, classes, first, model.tables, model.reconstruction_offsets, jnp.reshape(step, 1))
    sides = check_shape(tuple(transform.side for transform in transforms))
    load = partial(_load_coefficients, sides, model.bits.shape[0], model.n_quantizers)
    matrices = [transform.synthesis for transform in transforms]
    return group_separable.inverse(load, source, matrices, limits, shape, dtype, interpret=interpret)


def _load_coefficients(
    sides: Shape3, n_tables: int, n_quantizers: int, source: _Source, z: jax.Array, y: jax.Array, x: jax.Array
) -> jax.Array:
    """Reconstruct the coefficients of a tile of a plane: see ``group_separable.Load``."""
    block, coefficient, exists = locate_coefficients(sides, z, y, x)
    point = source.points.load(block, coefficient, exists)
    is_moved = exists & (coefficient > 0) & (point != 0)
    block_class = load_where(source.classes, (block,), is_moved)
    row = jnp.minimum(load_where(source.tables, (block_class, coefficient), is_moved), n_tables - 1)
    if n_quantizers > 1:
        row += (point & 1) * n_tables  # odd points belong to the second quantiser
    column = (jnp.abs(to_integers(point)) != 1).astype(jnp.int32)
    offset = load_where(source.offsets, (row, column), is_moved)
    first = load_where(source.first, (block,), exists & (coefficient == 0))
    point = jnp.where(coefficient == 0, 2 * first, point)  # in half steps
    value = point.astype(jnp.float32) / 2 - jnp.sign(point).astype(jnp.float32) * offset
    return jnp.where(exists, value * source.step[0], 0)
