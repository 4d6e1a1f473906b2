"""Native kernel of the shape decision; ``shape_decision`` has its specification.

Costs differ from the specification's by roundings, so shapes of nearly the same cost may be taken for each
other.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.core.systematic_sampling import FLOORS, shuffle
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.native.dispatch import call
from nvc_jax.spectral.entropy_model import BITS_PER_SQUARED_STEP
from nvc_jax.spectral.line_costs import BITS_OF_CODED, BITS_PER_OCTAVE
from nvc_jax.spectral.shape_columns import (
    N_COLUMNS,
    are_padded_alike,
    column_corners,
    column_sides,
    count_drawn_lines,
)
from nvc_jax.transform.native_separable import axis_constants

_PRICES = (BITS_PER_SQUARED_STEP, BITS_OF_CODED, BITS_PER_OCTAVE)


def choose_shape(
    volume: jax.Array,
    step: jax.Array,
    valid_shape: jax.Array,
    lengths: np.ndarray,
    filters: np.ndarray,
    *,
    first_filter: int,
) -> list[jax.Array]:
    """Choose the shape of a volume's transform; the first arguments are those of the specification.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        step: float32, of one quantiser, in the volume's units.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        lengths: int32, candidates, indices of ``segments.SEGMENT_LENGTHS``.
        filters: int32, candidates, indices of ``lapped_filter.FILTERS``.
        first_filter: filter of all axes before the first decision.

    Returns:
        int32 (3,) lengths, int32 (3,) filters, and float32, their estimated cost.
    """
    numbers, orders = _drawings(check_shape(volume.shape))
    index, cost = jax.ShapeDtypeStruct((3,), jnp.int32), jax.ShapeDtypeStruct((), jnp.float32)
    arguments = (volume, step, valid_shape, *map(jnp.asarray, (lengths, filters, orders)), *axis_constants())
    attributes = {
        "drawing_numbers": numbers,
        "settings_numbers": np.array([*_PRICES, *FLOORS, MAX_MAGNITUDE], np.float32),
        "first_filter": np.int32(first_filter),
    }
    return call("nvc_choose_shape", [index, index, cost], *arguments, **attributes)


@functools.lru_cache(maxsize=16)
def _drawings(shape: Shape3) -> tuple[np.ndarray, np.ndarray]:
    """Describe what each axis draws from.

    Returns:
        int32 (15,), for each axis the number of all columns, that of drawn ones and their two sides, padded,
        and the number of drawn lines; and int32, for each axis the orders of all columns and of all lines.
    """
    n_columns = [len(column_corners(shape, column_sides(shape, axis))) for axis in range(3)]
    sides = [
        [side for other, side in enumerate(column_sides(shape, axis)) if other != axis] for axis in range(3)
    ]
    padded = np.array([[min(n, N_COLUMNS), *pair] for n, pair in zip(n_columns, sides, strict=True)])
    if are_padded_alike(shape):
        padded[:] = np.max(padded, axis=0)
    n_lines = [int(n) for n in np.prod(padded, axis=1)]
    numbers = [
        (n, *row, count_drawn_lines(lines)) for n, row, lines in zip(n_columns, padded, n_lines, strict=True)
    ]
    orders = [shuffle(n) for pair in zip(n_columns, n_lines, strict=True) for n in pair]
    return np.array(numbers, np.int32).reshape(-1), np.concatenate(orders)
