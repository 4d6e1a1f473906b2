"""Values of a chunk as its encoder takes them: with their range, and the valid ones marked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nvc_jax.chunks.special_values import valid_range
from nvc_jax.core import filling
from nvc_jax.core.cached_properties import cached_property
from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits
from nvc_jax.core.dtypes import is_float, is_long_integer, is_narrow
from nvc_jax.core.long_integers import offsets_from
from nvc_jax.core.valid_values import valid_mask
from nvc_jax.native.filling import fill_smoothly
from nvc_jax.native.host_kernels import serves
from nvc_jax.native.valid_range import mark_valid


@dataclass(frozen=True)
class ChunkValues:
    """Values of a chunk and which of them are valid.

    Attributes:
        values: (z, y, x), of the volume's dtype.
        valid: bool, of the same shape: finite, not missing and within the declared limits.
        low, high: range of the valid values; (0, 0) where there is none.
        n_valid: number of the valid values.
    """

    values: np.ndarray
    valid: np.ndarray
    low: float
    high: float
    n_valid: int

    @classmethod
    def examine(
        cls, values: np.ndarray, missing_values: Sequence[float] = (), valid_limits: Limits = NO_LIMITS
    ) -> "ChunkValues":
        """Find the valid values of a chunk and their range."""
        if serves(values.dtype):
            return cls(values, *mark_valid(values, missing_values, valid_limits))
        return cls.of_valid(values, valid_mask(values, missing_values, valid_limits))

    @classmethod
    def of_valid(cls, values: np.ndarray, valid: np.ndarray) -> "ChunkValues":
        """Find the range of the valid values."""
        return cls(values, valid, *valid_range(values, valid), int(np.count_nonzero(valid)))

    @property
    def has_gaps(self) -> bool:
        """Tell whether some values are not valid."""
        return self.n_valid < self.valid.size

    @cached_property
    def smooth(self) -> np.ndarray:
        """Values with smoothly filled gaps, float32; float64 where float32 does not hold every value."""
        return self._fillings[0]

    @cached_property
    def _fillings(self) -> tuple[np.ndarray, np.ndarray]:
        """The same, and within the range of the valid values."""
        dtype = np.float32 if is_narrow(self.values.dtype) else np.float64
        values = self.values
        if self.has_gaps and values.dtype != dtype:  # of values that are not valid the other may have none
            values = np.where(self.valid, values, self.low)
        return fill_smoothly(values.astype(dtype, copy=False), self.valid, self.low, self.high)

    def filled(self) -> np.ndarray:
        """Fill gaps smoothly, in the volume's dtype and within the range of the valid values."""
        if not self.has_gaps:
            return self.values
        dtype = self.values.dtype
        if is_long_integer(dtype):
            return self._filled_by_offsets()
        _, filled = self._fillings
        if filled.dtype == dtype:
            return filled
        rounded = filled if is_float(dtype) else np.rint(filled)
        return np.where(self.valid, self.values, rounded.astype(dtype))

    def _filled_by_offsets(self) -> np.ndarray:
        """Fill gaps of int64 and uint64, whose offsets from the smallest value need not be exact in gaps."""
        width = int(self.high - self.low)
        limit = float(width) if width < 1 << 53 else float(np.nextafter(float(width), 0))
        offsets = np.where(self.valid, offsets_from(self.values, int(self.low)), 0).astype(np.float64)
        smooth = np.rint(filling.fill_smoothly(offsets, self.valid)).clip(0, limit)
        filled = smooth.astype(np.uint64) + np.uint64(int(self.low) % (1 << 64))
        return np.where(self.valid, self.values, filled.view(self.values.dtype))

    def relative_to_low(self) -> "ChunkValues":
        """Offsets from the smallest valid value, int64, of int64 and uint64 whose range int64 holds."""
        offsets = offsets_from(self.values, int(self.low)).view(np.int64)
        return ChunkValues(
            np.where(self.valid, offsets, 0), self.valid, 0, self.high - self.low, self.n_valid
        )
