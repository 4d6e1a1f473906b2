"""A chunk's values as the ways of coding them see them."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nvc_jax.chunks.special_values import valid_mask, valid_range
from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits
from nvc_jax.core.dtypes import DEVICE_DTYPES
from nvc_jax.core.filling import fill_smoothly


@dataclass(frozen=True)
class ChunkValues:
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

    @functools.cached_property
    def has_gaps(self) -> bool:
        """Tell whether some values are not valid."""
        return not self.valid.all()

    @functools.cached_property
    def smooth(self) -> np.ndarray:
        """Values with smoothly filled gaps, float32; float64 where float32 does not hold every value."""
        dtype = np.float32 if str(self.values.dtype) in DEVICE_DTYPES else np.float64
        filled = np.where(self.valid, self.values, self.low) if self.has_gaps else self.values
        return fill_smoothly(filled.astype(dtype, copy=False), self.valid)

    def filled(self) -> np.ndarray:
        """Fill gaps smoothly, in the volume's dtype and within the range of the valid values."""
        if not self.has_gaps:
            return self.values
        dtype = self.values.dtype
        filled = self.smooth.clip(self.low, self.high)
        rounded = filled if dtype.kind == "f" else np.rint(filled)
        return np.where(self.valid, self.values, rounded.astype(dtype))
