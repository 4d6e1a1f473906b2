"""Operations within kernels of TPUs, whose registers hold 8×128 numbers and whose products take bfloat16.

A kernel codes tiles of 8×16 blocks, eight along y and sixteen along x. In the volume, the 128 lanes of a
register are voxels along x. In matrix products, they are the blocks of a tile, each in one lane: the block
(y, x) in lane 8·x + y. ``swap_lanes`` changes one order to the other.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

BLOCK = 8
"""Side of a block: as many voxels as a register has rows."""
LANES = 128
"""Lanes of a register."""
TILE_Y, TILE_X = BLOCK, LANES // BLOCK
"""Blocks of a tile along y and x."""

Parts = tuple[jax.Array, ...]
"""Numbers in bfloat16 whose sum is a number in float32, the largest first."""


def split(values: jax.Array, n: int = 2) -> Parts:
    """Split float32 into ``n`` numbers in bfloat16; three hold all of its bits."""
    parts = []
    for _ in range(n):
        parts.append(values.astype(jnp.bfloat16))
        values = values - parts[-1].astype(jnp.float32)
    return tuple(parts)


def multiply(left: Parts, right: Parts) -> jax.Array:
    """Multiply (n, k) by (k, m) in three passes: float32 (n, m).

    The product of both rests is left out, as by ``jax.lax.Precision.HIGH``.
    """
    (first, first_rest), (second, second_rest) = left, right
    rests = multiply_once(first, second_rest) + multiply_once(first_rest, second)
    return multiply_once(first, second) + rests


def multiply_once(left: jax.Array, right: jax.Array, *, transposes_right: bool = False) -> jax.Array:
    """Multiply bfloat16 (n, k) by bfloat16 (k, m), or by (m, k) transposed, in one pass: float32 (n, m)."""
    contracted = (((1,), (1 if transposes_right else 0,)), ((), ()))
    return lax.dot_general(left, right, contracted, preferred_element_type=jnp.float32)


def swap_lanes(registers: Sequence[jax.Array]) -> list[jax.Array]:
    """Swap the index of eight arrays (n, 128) with the lowest three bits of the lane; its own inverse."""
    registers = list(registers)
    lane = lax.broadcasted_iota(jnp.int32, registers[0].shape, 1)
    for bit in (1, 2, 4):
        is_low, partner = lane & bit == 0, lane ^ bit
        for low in (index for index in range(BLOCK) if not index & bit):
            one, other = registers[low], registers[low | bit]
            moved = take_lanes(jnp.where(is_low, other, one), partner)
            registers[low] = jnp.where(is_low, one, moved)
            registers[low | bit] = jnp.where(is_low, moved, other)
    return registers


def to_lanes(blocks: jax.Array) -> jax.Array:
    """Order the rows of a tile's blocks, float32 (128, k) with x last, as lanes are: exact."""
    row, place = (lax.broadcasted_iota(jnp.int32, (LANES, LANES), axis) for axis in range(2))
    is_place = jnp.where((row & TILE_Y - 1) * TILE_X + (row >> 3) == place, 1.0, 0.0).astype(jnp.bfloat16)
    return sum(
        (multiply_once(is_place, part) for part in split(blocks, 3)), jnp.zeros(blocks.shape, jnp.float32)
    )


def from_lanes(values: jax.Array) -> jax.Array:
    """Order values in lanes, float32 (k, 128), as rows of a tile's blocks (128, k) with x last."""
    place = lax.broadcasted_iota(jnp.int32, values.shape, 1)
    return take_lanes(values, (place & TILE_X - 1) * TILE_Y + (place >> 4)).T


def take_lanes(values: jax.Array, lanes: jax.Array) -> jax.Array:
    """Take values (n, 128) from other lanes, int32 (n, 128)."""
    return jnp.take_along_axis(values, lanes, axis=1, mode="promise_in_bounds")
