"""Operations within kernels of TPUs, whose registers hold 8×128 numbers and whose products take bfloat16.

A kernel codes tiles of 8×16 blocks, eight along y and sixteen along x. In the volume, the 128 lanes of a
register are voxels along x. In matrix products, they are the blocks of a tile, each in one lane: the block
(y, x) in lane 8·x + y. ``swap_lanes`` changes one order to the other.
"""

from collections.abc import Sequence
from typing import Any

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


def multiply(left: Parts, right: Parts, *, transposes_right: bool = False) -> jax.Array:
    """Multiply (n, k) by (k, m), or by (m, k) transposed, in three passes: float32 (n, m).

    The product of both rests is left out, as by ``jax.lax.Precision.HIGH``.
    """
    (first, first_rest), (second, second_rest) = left, right
    rests = _multiply(first, second_rest, transposes_right) + _multiply(first_rest, second, transposes_right)
    return _multiply(first, second, transposes_right) + rests


def swap_lanes(registers: Sequence[jax.Array], roll: Any = jnp.roll) -> list[jax.Array]:
    """Swap the index of eight arrays (8, 128) with the lowest three bits of the lane; its own inverse.

    Args:
        registers: float32.
        roll: rotates an array by a number of entries along an axis; in kernels, ``tpu.roll`` of Pallas.
    """
    registers = list(registers)
    lane = lax.broadcasted_iota(jnp.int32, registers[0].shape, 1)
    for bit in (1, 2, 4):
        is_low = lane & bit == 0
        for low in (index for index in range(BLOCK) if not index & bit):
            one, other = registers[low], registers[low | bit]
            registers[low] = jnp.where(is_low, one, roll(other, bit, 1))
            registers[low | bit] = jnp.where(is_low, roll(one, LANES - bit, 1), other)
    return registers


def to_lanes(blocks: jax.Array) -> jax.Array:
    """Order the rows of a tile's blocks, float32 (128, k) with x last, as lanes are: exact."""
    is_place = _is_lane_of_block(lane_axis=0)
    return sum((_multiply(is_place, part) for part in split(blocks, 3)), jnp.zeros(blocks.shape, jnp.float32))


def from_lanes(values: jax.Array) -> jax.Array:
    """Order values in lanes, float32 (k, 128), as rows of a tile's blocks (128, k) with x last: exact."""
    is_place = _is_lane_of_block(lane_axis=1)
    blocks = jnp.zeros(values.shape[::-1], jnp.float32)
    return sum((_multiply(is_place, part, True) for part in split(values, 3)), blocks)


def _is_lane_of_block(lane_axis: int) -> jax.Array:
    """Get 1 for each lane and the block that it has, else 0: bfloat16 (128, 128)."""
    lane = lax.broadcasted_iota(jnp.int32, (LANES, LANES), lane_axis)
    block = lax.broadcasted_iota(jnp.int32, (LANES, LANES), 1 - lane_axis)
    is_lane = (lane & BLOCK - 1) * TILE_X + (lane >> 3) == block
    return jnp.where(is_lane, 1.0, 0.0).astype(jnp.bfloat16)


def _multiply(left: jax.Array, right: jax.Array, transposes_right: bool = False) -> jax.Array:
    contracted = (((1,), (1 if transposes_right else 0,)), ((), ()))
    return lax.dot_general(left, right, contracted, preferred_element_type=jnp.float32)
