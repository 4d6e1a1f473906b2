"""Coefficients of n blocks in the memory of GPUs, and access to them within kernels.

The transform splits coefficients into parts. The trellis needs only a fixed-point number of two bytes, in
1/128 step. Decisions about classes also need what is finer, which is a byte of its own. So kernels move two
or three bytes of each coefficient in place of four. First coefficients, and the few that are too large for
fixed point, are floats in a further array, whose other entries are never written or read.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.core.group_kernels import load_where, store_where
from nvc_jax.spectral.fixed_point import MAGNITUDE_BITS, to_fixed_by_floor
from nvc_jax.transform.group_separable import CoefficientMemory

_FAR = -(1 << 15)
"""Stands in fixed point for a coefficient that is far from 0, or a first one."""
_FINE_BITS = 8
"""Fraction bits behind those of fixed point: coefficients have errors of up to 2**-16 step, and of twice that
where fixed point rounds a half down. The reserve for roundings of coefficients is eight times as much."""


class FloatCoefficients(NamedTuple):
    """Coefficients that are stored as they are.

    Attributes:
        values: float32 (512, n), in steps.
    """

    values: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Coefficients of a block, and blocks."""
        shape: tuple[int, int] = self.values.shape
        return shape

    def load(self, coefficient: jax.Array, block: jax.Array) -> jax.Array:
        """Read coefficients within a kernel, float32 in steps; indices have one shape.

        Those of blocks that do not exist are 0.
        """
        return load_where(self.values, (coefficient, block), jnp.ones(block.shape, bool))

    def load_fixed(self, coefficient: jax.Array, block: jax.Array) -> jax.Array:
        """Read coefficients within a kernel in 1/128 step, int32."""
        return to_fixed_by_floor(self.load(coefficient, block))


class SplitCoefficients(NamedTuple):
    """Coefficients in parts.

    Attributes:
        fixed: int16 (512, n), in 1/128 step, as by ``fixed_point.to_fixed``; or _FAR.
        fine: int8 (512, n), what is missing in ``fixed``, in its units shifted by _FINE_BITS.
        far: float32 (512, n), in steps; arbitrary where ``fixed`` is not _FAR.
    """

    fixed: Any
    fine: Any
    far: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Coefficients of a block, and blocks."""
        shape: tuple[int, int] = self.fixed.shape
        return shape

    @property
    def first(self) -> jax.Array:
        """First coefficients, float32 (n,)."""
        first: jax.Array = self.far[0]
        return first

    def load(self, coefficient: jax.Array, block: jax.Array) -> jax.Array:
        """Read coefficients within a kernel; see ``FloatCoefficients.load``."""
        index, everywhere = (coefficient, block), jnp.ones(block.shape, bool)
        fixed = load_where(self.fixed, index, everywhere).astype(jnp.int32)
        fine = load_where(self.fine, index, everywhere).astype(jnp.int32)
        return jnp.where(fixed == _FAR, self._load_far(index, fixed), _join(fixed, fine))

    def load_fixed(self, coefficient: jax.Array, block: jax.Array) -> jax.Array:
        """Read coefficients within a kernel; see ``FloatCoefficients.load_fixed``."""
        index = (coefficient, block)
        fixed = load_where(self.fixed, index, jnp.ones(block.shape, bool)).astype(jnp.int32)
        return jnp.where(fixed == _FAR, to_fixed_by_floor(self._load_far(index, fixed)), fixed)

    def take(self, blocks: jax.Array) -> jax.Array:
        """Take the coefficients of some blocks, int32 (m,): float32 (m, 512)."""
        fixed, fine, far = (part[:, blocks] for part in self)
        fixed, fine = fixed.astype(jnp.int32), fine.astype(jnp.int32)
        return jnp.where(fixed == _FAR, far, _join(fixed, fine)).T

    def _load_far(self, index: Sequence[jax.Array], fixed: jax.Array) -> jax.Array:
        return load_where(self.far, index, fixed == _FAR)


def split(coefficients: jax.Array, values: jax.Array) -> SplitCoefficients:
    """Split coefficients, within a kernel or outside.

    Args:
        coefficients: int32, index of each in its block.
        values: float32, of the same shape, in steps.

    Returns:
        Parts of this shape.
    """
    fixed = to_fixed_by_floor(values)
    is_far = (coefficients == 0) | (jnp.abs(fixed) >= -_FAR)
    scaled = jnp.where(is_far, 0, values) * (1 << MAGNITUDE_BITS)
    finer = (scaled - jnp.where(is_far, 0, fixed).astype(jnp.float32)) * (1 << _FINE_BITS)
    fine = jnp.clip(jnp.floor(finer + 0.5), -(1 << _FINE_BITS - 1), (1 << _FINE_BITS - 1) - 1)
    fixed = jnp.where(is_far, _FAR, fixed).astype(jnp.int16)
    return SplitCoefficients(fixed, fine.astype(jnp.int32).astype(jnp.int8), values)


def _join(fixed: jax.Array, fine: jax.Array) -> jax.Array:
    """Join both parts of coefficients that are not far, int32: float32 in steps, without a rounding."""
    return ((fixed << _FINE_BITS) + fine).astype(jnp.float32) * 2.0 ** -(MAGNITUDE_BITS + _FINE_BITS)


def _store(memory: Sequence[Any], index: Sequence[jax.Array], values: jax.Array, exists: jax.Array) -> None:
    """Store coefficients within a kernel, in the arrays of ``SplitCoefficients``."""
    parts = split(index[0], values)
    fixed, fine, far = memory
    store_where(fixed, index, parts.fixed, exists)
    store_where(fine, index, parts.fine, exists)
    store_where(far, index, parts.far, exists & (parts.fixed == _FAR))


SPLIT_MEMORY = CoefficientMemory(("int16", "int8", "float32"), _store)
"""Memory for ``group_separable.forward_to``, whose arrays are those of ``SplitCoefficients``."""
