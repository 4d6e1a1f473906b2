"""Transform of one axis: emphasis, lapped filter, DCT of each segment and order of coefficients in a matrix.

The matrix has two factors. First come *borders*: the filter mixes the four voxels on either side of a border
between segments, and emphasis the four voxels at either end of the axis. So one small matrix for each
multiple of 8 says it all. Then comes the DCT of each segment, whose rows are symmetric about its middle.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.platforms import Forms, choose_form
from nvc_jax.transform.block_layout import BLOCK_SIZE
from nvc_jax.transform.boundary_emphasis import emphasis_corners, squared_error_weights
from nvc_jax.transform.lapped_filter import REACH, border_matrices
from nvc_jax.transform.segments import MAX_LENGTH, Segments, divide_axis


class Factors(NamedTuple):
    """Factors of the matrix of an axis of n voxels.

    Attributes:
        borders: float32 (n / 8 + 1, 8, 8), matrix b of voxels 8b − 4 to 8b + 3; of the first one only the
            last four rows and columns count, of the last one only the first four.
        dct: float32 (n, n).
    """

    borders: jax.Array
    dct: jax.Array


class AxisTransform(NamedTuple):
    """Transform of one axis of n voxels.

    Attributes:
        analysis_factors: factors of ``analysis``: borders come first, then the DCT.
        synthesis_factors: factors of ``synthesis``: the inverse DCT comes first, then borders.
        is_dc: bool (n / 8,), whether a block's first coefficient is the frequency 0 of a segment.
        previous_dc: int32 (n / 8,), the block before with a frequency 0, of blocks that have one; −1 if none.
    """

    analysis_factors: Factors
    synthesis_factors: Factors
    is_dc: jax.Array
    previous_dc: jax.Array

    @property
    def side(self) -> int:
        """Voxels of the axis, n."""
        return self.analysis_factors.dct.shape[0]

    def scaled(self, factor: jax.Array) -> "AxisTransform":
        """Multiply all coefficients by a factor, float32; ``synthesis`` stays as it is."""
        borders, dct = self.analysis_factors
        return self._replace(analysis_factors=Factors(borders, dct * factor))

    @property
    def analysis(self) -> jax.Array:
        """The matrix from voxels to coefficients, float32 (n, n)."""
        borders, dct = self.analysis_factors
        return apply_borders(borders.transpose(0, 2, 1), dct.T).T

    @property
    def synthesis(self) -> jax.Array:
        """The inverse of ``analysis`` on the voxels that count, float32 (n, n)."""
        return apply_borders(*self.synthesis_factors)


def scaled_matrices(transforms: list[AxisTransform], factor: jax.Array) -> list[jax.Array]:
    """Compute the matrices of three axes, ``AxisTransform.analysis``, so that coefficients are scaled."""
    return [axis.analysis for axis in (*transforms[:2], transforms[2].scaled(factor))]


def make_axis_transform(
    side: int,
    valid: jax.Array,
    length_index: jax.Array,
    filter_index: jax.Array,
    boundaries: jax.Array | None = None,
    axis: jax.Array | int = 0,
) -> AxisTransform:
    """Compute the transform of one axis.

    Args:
        side: voxels of the axis, padding included, a multiple of 8; static.
        valid: int32, voxels of the axis that count: the first ones, at least one.
        length_index: int32, of ``segments.SEGMENT_LENGTHS``.
        filter_index: int32, of ``lapped_filter.FILTERS``.
        boundaries: int32, bits of the chunk boundaries at which errors weigh more; None for none.
        axis: 0, 1, 2 for z, y, x; without boundaries it does not matter.
    """
    segments = divide_axis(side, valid, length_index)
    dct, is_mean = _dct_of_segments(segments)
    filtering, unfiltering = (
        _borders(segments, jnp.asarray(matrices)[filter_index]) for matrices in border_matrices()
    )
    weights = jnp.ones((1, 1), jnp.float32)
    if boundaries is not None:
        emphasizing, deemphasizing = emphasis_corners(boundaries, axis)
        filtering = _with_corners(filtering, *emphasizing)
        unfiltering = _with_corners(unfiltering, *deemphasizing)
        weights = squared_error_weights(side, boundaries, axis)[:, None]

    # An error of 1 in a scaled coefficient adds about 1 to the squared error of the volume. Means are scaled
    # alike next to a boundary and elsewhere: they are predicted from each other.
    weights = jnp.where(is_mean[None], 1, weights)
    norms = jnp.sqrt(jnp.sum(weights * apply_borders(unfiltering, dct.T) ** 2, axis=0))
    norms = jnp.where(norms > 0, norms, 1)
    is_dc = is_mean[::BLOCK_SIZE] & (jnp.arange(side // BLOCK_SIZE) * BLOCK_SIZE < valid)
    return AxisTransform(
        analysis_factors=Factors(filtering, dct * norms[:, None]),
        synthesis_factors=Factors(unfiltering, dct.T / norms[None]),
        is_dc=is_dc,
        previous_dc=_previous(is_dc),
    )


def apply_borders(borders: jax.Array, rows: jax.Array) -> jax.Array:
    """Multiply rows, float32 (side, n), by the matrix that ``Factors.borders`` stands for."""
    return choose_form(Forms(_apply_by_products, _apply_by_sums, _apply_by_sums), rows, borders, rows)


def _apply_by_products(borders: jax.Array, rows: jax.Array) -> jax.Array:
    """Apply borders by products of small matrices."""
    padded = jnp.pad(rows, [(REACH, REACH), (0, 0)]).reshape(len(borders), 2 * REACH, -1)
    mixed = jnp.einsum("bij,bjn->bin", borders, padded, precision=lax.Precision.HIGHEST)
    return mixed.reshape(len(rows) + 2 * REACH, -1)[REACH:-REACH]


def _apply_by_sums(borders: jax.Array, rows: jax.Array) -> jax.Array:
    """Apply borders by sums of eight terms each, which accelerators fuse with what is around them."""
    voxel = np.arange(REACH, len(rows) + REACH, dtype=np.int32)  # of the padded axis
    border, place = voxel // (2 * REACH), voxel % (2 * REACH)
    weights = borders[border, place]
    mixed = jnp.zeros_like(rows)
    for other in range(2 * REACH):
        source = border * 2 * REACH + other - REACH
        is_inside = ((source >= 0) & (source < len(rows)))[:, None]
        mixed += jnp.where(
            is_inside, weights[:, other : other + 1] * rows[np.clip(source, 0, len(rows) - 1)], 0
        )
    return mixed


def _borders(segments: Segments, matrix: jax.Array) -> jax.Array:
    """Place ``matrix``, float32 (8, 8), at all borders of segments; see ``Factors.borders``."""
    voxel = np.arange(0, len(segments.start) + 1, BLOCK_SIZE, dtype=np.int32)[1:-1]
    is_border = jnp.pad(segments.start[BLOCK_SIZE::BLOCK_SIZE] == voxel, 1)
    return jnp.where(is_border[:, None, None], matrix, jnp.eye(2 * REACH, dtype=jnp.float32))


def _with_corners(borders: jax.Array, start: jax.Array, end: jax.Array) -> jax.Array:
    """Replace what the first and the last of ``borders`` do by the matrices (4, 4) of the ends of an axis."""
    number, row, column = np.indices(borders.shape, np.int32)
    is_start = (number == 0) & (row >= REACH) & (column >= REACH)
    is_end = (number == len(borders) - 1) & (row < REACH) & (column < REACH)
    borders = jnp.where(is_start, jnp.pad(start, (REACH, 0))[None], borders)
    return jnp.where(is_end, jnp.pad(end, (0, REACH))[None], borders)


def _dct_of_segments(segments: Segments) -> tuple[jax.Array, jax.Array]:
    """Compute the matrix of the DCTs of all segments, rows in the order of coefficients.

    Returns:
        float32 (side, side), and bool (side,), whether a coefficient has the frequency 0.
    """
    side = len(segments.frequency)
    index = np.arange(side, dtype=np.int32)
    frequency, length = segments.frequency[:, None], segments.coefficient_length[:, None]
    offset = index[None] - segments.coefficient_start[:, None]
    exists = (index[:, None] < segments.valid) & (offset >= 0) & (offset < length)

    # cos(π·k/(2·length)) by its quarter period.
    phase = _remainder(jnp.where(exists, (2 * offset + 1) * frequency, 0), 4 * jnp.maximum(length, 1))
    phase = jnp.minimum(phase, 4 * length - phase)
    is_negative = phase > length
    phase = jnp.where(is_negative, 2 * length - phase, phase)
    cosines = jnp.asarray(quarter_cosines())
    entry = jnp.minimum(length, MAX_LENGTH) * (MAX_LENGTH + 1) + jnp.minimum(phase, MAX_LENGTH)
    cosine = cosines.at[entry].get(mode="clip")
    cosine = jnp.where(is_negative, -cosine, cosine)

    is_mean = segments.frequency == 0
    scale = jnp.sqrt(jnp.where(is_mean[:, None], 1, 2).astype(jnp.float32) / length.astype(jnp.float32))
    return jnp.where(exists, cosine * scale, 0), is_mean


def _remainder(numbers: jax.Array, divisors: jax.Array) -> jax.Array:
    """Compute remainders of int32 below 2**24: by float32, which is exact there and faster than integers."""
    a, b = numbers.astype(jnp.float32), divisors.astype(jnp.float32)
    return (a - jnp.floor(a / b) * b).astype(jnp.int32)


@functools.cache
def quarter_cosines() -> np.ndarray:
    """Compute cos(π/2 · k / length) for k up to the length: float32, by length and k, flat."""
    length, k = np.ogrid[: MAX_LENGTH + 1, : MAX_LENGTH + 1]
    return np.cos(np.pi / 2 * np.minimum(k / np.maximum(length, 1), 1)).astype(np.float32).reshape(-1)


def _previous(is_marked: jax.Array) -> jax.Array:
    """Find, for each entry, the index of the marked entry before it: int32, −1 if there is none."""
    index = jnp.where(is_marked, jnp.arange(len(is_marked), dtype=jnp.int32), -1)
    return jnp.pad(lax.cummax(index), (1, 0), constant_values=-1)[:-1]
