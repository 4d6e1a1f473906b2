"""Delta prediction: each integer as its difference to the integer before it along an axis, and the way back.

The difference along all three axes of a volume is the Lorenzo predictor (Ibarria et al., 2003). Integers wrap
round at the limits of their dtype in both directions, so any integers come back exactly.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np

Integers = TypeVar("Integers", np.ndarray, jax.Array)
"""An array of integers of NumPy or JAX; the functions work in the library of their argument."""


def difference(values: Integers, axes: Sequence[int], masks: Sequence[np.ndarray] | None = None) -> Integers:
    """Take differences along axes, one axis after the other.

    The integer before the first one along an axis counts as 0.

    Args:
        values: integers of any dtype.
        axes: axes to difference along; an axis may occur more than once.
        masks: for each entry of ``axes`` a bool array that broadcasts to the shape of ``values`` and is
            constant along that axis; a value stays where it is false. Without masks, all are differenced.

    Returns:
        Integers of the same shape and dtype.
    """
    namespace: Any = values.__array_namespace__()
    zero = values.dtype.type(0)
    for index, axis in enumerate(axes):
        differences = namespace.diff(values, axis=axis, prepend=zero)
        values = differences if masks is None else namespace.where(masks[index], differences, values)
    return values


def difference_in_place(values: np.ndarray, axes: Sequence[int]) -> None:
    """Take differences along axes as ``difference``, in the array itself."""
    for axis in axes:
        along = np.moveaxis(values, axis, 0)
        along[1:] -= along[:-1]  # NumPy first copies what overlaps


def accumulate(
    differences: Integers, axes: Sequence[int], masks: Sequence[np.ndarray] | None = None
) -> Integers:
    """Undo ``difference`` by running sums.

    Args:
        differences: from ``difference``.
        axes: the axes that ``difference`` was given.
        masks: the masks that ``difference`` was given.

    Returns:
        Integers of the same shape and dtype.
    """
    namespace: Any = differences.__array_namespace__()
    for index in reversed(range(len(axes))):
        sums = namespace.cumsum(differences, axis=axes[index], dtype=differences.dtype)
        differences = sums if masks is None else namespace.where(masks[index], sums, differences)
    return differences
