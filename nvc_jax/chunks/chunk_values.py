"""A chunk's values as the ways of coding them see them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.special_values import valid_mask, valid_range
from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits


class ChunkValues(NamedTuple):
    """Values of a chunk and which of them are valid.

    Attributes:
        values: (z, y, x), of the volume's dtype.
        valid: bool, of the same shape: finite, not missing and within the declared limits.
        low, high: range of the valid values; (0, 0) where there is none.
    """

    values: np.ndarray
    valid: np.ndarray
    low: float
    high: float

    @classmethod
    def examine(
        cls, values: np.ndarray, missing_values: Sequence[float] = (), valid_limits: Limits = NO_LIMITS
    ) -> "ChunkValues":
        """Find the valid values of a chunk and their range."""
        valid = valid_mask(values, missing_values, valid_limits)
        return cls(values, valid, *valid_range(values, valid))
