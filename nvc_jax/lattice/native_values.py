"""Native kernels on float32 values; ``values`` and ``plan`` have their specification."""

from typing import NamedTuple

import numpy as np

from nvc_jax.lattice import estimate
from nvc_jax.lattice.geometry import N_GROUPS
from nvc_jax.lattice.samples import ROWS
from nvc_jax.lattice.weights import default_rows
from nvc_jax.native.host_kernels import call_on_host


class Floats(NamedTuple):
    """A volume of float32, and what its fixed point is.

    Attributes:
        values: float32 (z, y, x), contiguous.
        counted: bool (z, y, x), contiguous, values that count.
        low: origin of the fixed point; no value is below it.
        spacing: of the codes.
    """

    values: np.ndarray
    counted: np.ndarray
    low: float
    spacing: float


def fix_floats(
    values: np.ndarray, low: float, spacing: float, fraction_bits: int, fixed: np.ndarray | None = None
) -> np.ndarray:
    """Turn float32 values to fixed point, int32; no value is below ``low``.

    Args:
        values: the values.
        low: origin of the fixed point.
        spacing: of the codes.
        fraction_bits: of the fixed point.
        fixed: contiguous array that takes the result; a new one if None.
    """
    values = np.ascontiguousarray(values)
    if fixed is None:
        fixed = np.empty(values.shape, np.int32)
    call_on_host("nvc_fix_floats", values.size, values, low, spacing, fraction_bits, fixed)
    return fixed


def find_in_floats(floats: Floats, fraction_bits: int, thinning: int) -> tuple[np.ndarray, ...]:
    """Find what ``native_programs.find`` finds, without the whole volume in fixed point."""
    n = len(ROWS)
    shapes = ((n, N_GROUPS), (n,), (2, n), (2, estimate.N_CONTEXTS, estimate.N_CLASSES), (2,))
    found = tuple(np.empty(shape, np.int32) for shape in shapes)
    default = default_rows()
    sides = np.array(floats.values.shape, np.int64)
    numbers = (floats.low, floats.spacing, fraction_bits, thinning)
    call_on_host(
        "nvc_lattice_find_in_floats", floats.values, floats.counted, sides, *numbers, default, *found
    )
    return found


def restore_floats(fixed: np.ndarray, low: float, unit: float) -> np.ndarray:
    """Turn numbers in fixed point to float32 values.

    Args:
        fixed: int32.
        low: origin of the fixed point.
        unit: of the fixed point, in units of the values.
    """
    fixed, values = np.ascontiguousarray(fixed, np.int32), np.empty(fixed.shape, np.float32)
    call_on_host("nvc_restore_floats", fixed.size, fixed, low, unit, values)
    return values
