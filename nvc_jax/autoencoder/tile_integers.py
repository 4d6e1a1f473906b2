"""Integers of eight bits in kernels of TPUs, whose matrix units take them at twice the pace of bfloat16.

One pass multiplies voxels and the first layer's kernel. Both are rounded so that errors of neighbours cancel
in the sums over a block. Rounding the kernel to the nearest integers would cost up to 0.05 dB.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.autoencoder.tile_operations import BLOCK, LANES
from nvc_jax.core.normalization import PRESCALE, normalization_scale

GROUP = 4
"""Planes of which a word holds a byte each."""
LARGEST_VOXEL = 255
"""Voxels in [0, 1] are integers up to this one."""
ZERO_VOXEL = 128
"""Voxels that are 0 are minus this number, so that all of them have eight bits with a sign."""
LARGEST_WEIGHT = 125
"""Largest integer of a kernel before errors are added; with them, it has eight bits."""
SIGN_BITS = 0x80808080 - (1 << 32)
"""Highest bits of bytes: a word of voxels that are 0."""
_OFFSET, _BITS_OF_OFFSET = float(3 << 22), 0x4B400000
"""In float32 from this number on, the lowest bits are those of the integer."""


def limits_of_voxels(minimum: Any, maximum: Any) -> tuple[Any, Any]:
    """Get what ``round_voxels`` takes of a volume's range: the minimum, scaled, and the factor."""
    return PRESCALE * minimum, LARGEST_VOXEL * normalization_scale(minimum, maximum)


def normalize_voxels(values: jax.Array, minimum: Any, factor: Any) -> jax.Array:
    """Normalise values to [0, 255]; NaN becomes 0."""
    voxels = (values * PRESCALE - minimum) * factor
    return jnp.minimum(jnp.where(voxels > 0, voxels, 0.0), LARGEST_VOXEL)


def dither(shape: tuple[int, ...], first_plane: int = 0) -> jax.Array:
    """Get what is added to voxels (z, y, x) before they are rounded: eight values for eight neighbours.

    Args:
        shape: of the voxels; rows and columns begin at even ones of the volume.
        first_plane: place of the first plane along z.
    """
    z, y, x = (lax.broadcasted_iota(jnp.int32, shape, axis) for axis in range(3))
    z = z + first_plane
    eighths = ((x ^ y ^ z) & 1) * 4 + ((x ^ z) & 1) * 2 + (z & 1)
    return eighths.astype(jnp.float32) * (1 / 8) - 7 / 16


def to_words(voxels: jax.Array, first_plane: int = 0) -> jax.Array:
    """Round voxels to integers, four planes to a word.

    Args:
        voxels: float32 in [0, 255], (planes, 8, 128).
        first_plane: see ``dither``.

    Returns:
        int32 (planes / 4, 8, 128); bytes are voxels from -128 on.
    """
    from jax.experimental.pallas import tpu

    pattern = jnp.concatenate([dither((2, BLOCK, LANES), first_plane)] * (len(voxels) // 2))
    sums = (voxels + pattern) + _OFFSET
    bits = tpu.bitcast(sums.reshape(-1, LANES), jnp.int32).reshape(-1, GROUP, BLOCK, LANES)
    words, flipped = bits[:, 0], SIGN_BITS ^ _BITS_OF_OFFSET
    for plane in range(1, GROUP):
        words = words ^ (bits[:, plane] << 8 * plane)
        flipped ^= _BITS_OF_OFFSET << 8 * plane & 0xFFFFFFFF
    flipped &= 0xFFFFFFFF
    return words ^ jnp.int32(flipped - (flipped >> 31 << 32))


def to_bytes(words: jax.Array) -> jax.Array:
    """Get the bytes of words, int32 (…, 8, 128), in their order: int8 (n, 128)."""
    from jax.experimental.pallas import tpu

    return tpu.bitcast(words.reshape(-1, LANES), jnp.int8)


def round_kernel(kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Round the first layer's kernel to integers whose sums along y and z keep those of the kernel.

    The error of a row goes to the next one along y, and what a plane then lacks goes to the next plane.

    Args:
        kernel: float32 (z, y · x, units); as many planes as rows and columns.

    Returns:
        Integers, float32 of the same shape, and the unit of each column of them, float32 (1, units).
    """
    largest = jnp.max(jnp.abs(kernel).reshape(-1, kernel.shape[2]), axis=0, keepdims=True)
    scale = jnp.where(largest > 0, largest, 1.0) * (1 / LARGEST_WEIGHT)
    inverse, side = 1 / scale, len(kernel)
    zero = jnp.zeros((side, kernel.shape[2]), jnp.float32)
    rows, lacking = [], [zero] * side
    for z in range(side):
        total = before = zero
        for y in range(side):
            wanted = kernel[z, y * side : (y + 1) * side] * inverse + lacking[y]
            total = total + wanted
            integers = jnp.floor(total + 0.5)
            rows.append(integers - before)
            lacking[y] = wanted - rows[-1]
            before = integers
    return jnp.concatenate(rows).reshape(kernel.shape), scale


def multiply(left: jax.Array, right: jax.Array) -> jax.Array:
    """Multiply int8 (n, k) by int8 (k, m): int32 (n, m)."""
    contracted = (((1,), (0,)), ((), ()))
    return lax.dot_general(left, right, contracted, preferred_element_type=jnp.int32)
