"""Integers in scan order in the memory of GPUs, and access to them.

Almost all fit into two bytes. The others are stored in a second array; nothing else in it is written or read.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nvc_jax.core.group_kernels import load_where, store_where

_FAR = -(1 << 15)
"""Stands for an integer that needs four bytes."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SplitIntegers:
    """Integers of blocks in scan order, as from ``integer_runs.pack_integers``.

    Attributes:
        near: int16 (n,), the integers; or _FAR.
        far: int32 (n,), the integers; arbitrary where ``near`` is not _FAR.
    """

    near: Any
    far: Any

    def __getitem__(self, index: jax.Array) -> jax.Array:
        """Read integers within a kernel, int32."""
        near = self.near[index].astype(jnp.int32)
        return jnp.where(near == _FAR, load_where(self.far, (index,), near == _FAR), near)

    def store(self, index: Sequence[jax.Array], integers: jax.Array, mask: jax.Array) -> None:
        """Write integers, int32, within a kernel: those in ``mask``."""
        is_far = (integers <= _FAR) | (integers >= -_FAR)
        store_where(self.near, index, jnp.where(is_far, _FAR, integers), mask)
        store_where(self.far, index, integers, mask & is_far)

    def whole(self) -> jax.Array:
        """Get all integers, int32 (n,), outside of kernels."""
        near = self.near.astype(jnp.int32)
        return jnp.where(near == _FAR, self.far, near)


def integer_memory(n: int) -> SplitIntegers:
    """Describe the memory of n integers."""
    dtypes = (jnp.int16, jnp.int32)
    return SplitIntegers(*(jax.ShapeDtypeStruct((n,), dtype) for dtype in dtypes))
