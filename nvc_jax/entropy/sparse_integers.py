"""Sparse integers: a volume of integers most of which are zero, to bytes and back.

Each voxel has a *rank*: its index in an order that goes block by block of 8³, so that neighbours in the
volume have similar ranks. The coder stores the signs of the integers that are not zero, the gaps between
their ranks, and their magnitudes. Gaps and magnitudes go to the adaptive geometric coder, in *groups* of 64
within which the coder adapts.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.compiler_options import jit_on_one_core
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.core.slabs import map_slabs
from nvc_jax.entropy import adaptive_geometric, geometric_adaptation, native_sparse
from nvc_jax.entropy.geometric_distributions import N_SCALES
from nvc_jax.entropy.interleaving import max_lanes_for
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.entropy.word_stream import WordStream, words_from_bytes, words_to_bytes
from nvc_jax.native.host_kernels import has_host_kernels, serves

_SIDE = 8
"""Side in voxels of the blocks that ranks go through one after the other."""
_BLOCK_BITS = 9
"""Bits of a rank that tell a voxel of a block."""
_GROUP_LENGTH = 64
"""Integers of a group, which is a block of the entropy coder."""
_MEDIAN_LENGTH = 1024
"""Last integers among which a common one is looked for."""
_MIN_PADDED_GROUPS, _PADDING_FACTOR = 16, 4
"""Numbers of groups that programs are compiled for: 16, 64, 256 …; few sizes, so that few are compiled."""


def find_by_blocks(marks: np.ndarray) -> np.ndarray:
    """Find the marked voxels of a volume, in the order of their ranks.

    Args:
        marks: bool (z, y, x).

    Returns:
        int64 (n,), their positions in C order.
    """
    shape = check_shape(marks.shape)
    _, grid_y, grid_x = grid_shape(shape, _SIDE)
    padded = np.zeros((_SIDE, grid_y * _SIDE, grid_x * _SIDE), bool)
    # A row of a block is eight bytes, which are moved as one number.
    rows = padded.view(np.uint64).reshape(_SIDE, grid_y, _SIDE, grid_x).transpose(1, 3, 0, 2)
    starts = _SIDE * (np.arange(grid_y)[:, None] * shape[2] + np.arange(grid_x)).reshape(-1)
    z, y, x = np.ogrid[:_SIDE, :_SIDE, :_SIDE]
    within = ((z * shape[1] + y) * shape[2] + x).reshape(-1)
    found = []
    for first in range(0, shape[0], _SIDE):
        slab = marks[first : first + _SIDE]
        padded[: len(slab), : shape[1], : shape[2]] = slab
        padded[len(slab) :] = False
        ranks = np.flatnonzero(np.ascontiguousarray(rows).view(bool))
        positions = starts.take(ranks >> _BLOCK_BITS) + within.take(ranks & (len(within) - 1))
        found.append(positions + first * shape[1] * shape[2])
    return np.concatenate(found)


def find_differing(first: np.ndarray, second: np.ndarray, allowed: float) -> np.ndarray:
    """Find the voxels of two volumes that differ by more than ``allowed``, or are NaN.

    Args:
        first: (z, y, x), any dtype.
        second: of the same shape, float32 or float64; differences are in its dtype.
        allowed: not negative.

    Returns:
        As of ``find_by_blocks``.
    """
    if serves(first.dtype) and second.dtype == first.dtype:
        return native_sparse.find_differing(first, second, allowed)

    def differ(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        differences = np.subtract(first, second, dtype=second.dtype)
        return ~(np.abs(differences, out=differences) <= allowed)

    return find_by_blocks(map_slabs(differ, first, second, dtype=bool))


def encode_sparse(positions: np.ndarray, values: np.ndarray, shape: Shape3) -> bytes:
    """Code the integers of a volume that are not zero.

    Args:
        positions: int64 (n,), their positions in C order, each once; best in the order of ``find_by_blocks``.
        values: int64 (n,), none zero.
        shape: (z, y, x) of the volume.
    """
    ranks = _to_ranks(positions, shape)
    if (ranks[1:] < ranks[:-1]).any():
        order = np.argsort(ranks)
        ranks, values = ranks[order], values[order]
    gaps = np.diff(ranks, prepend=-1) - 1
    signs = np.packbits(values < 0).tobytes()
    return encode_varints(len(ranks)) + signs + _encode_sequence(gaps) + _encode_sequence(np.abs(values) - 1)


def decode_sparse(stored: bytes, shape: Shape3) -> tuple[np.ndarray, np.ndarray]:
    """Decode positions and values, int64 (n,) each; the inverse of ``encode_sparse``, but in block order.

    Raises:
        ValueError: the bytes cannot be of integers in a volume of ``shape``.
    """
    (n,), signs_start = decode_varints(stored, 1)
    start = signs_start + -(-n // 8)
    if n > math.prod(shape) or len(stored) < start:
        raise ValueError(f"{n} sparse integers in {len(stored)} bytes for {shape} voxels")

    signs = np.frombuffer(stored, np.uint8, start - signs_start, signs_start)
    is_negative = np.unpackbits(signs, count=n) > 0
    gaps, start = _decode_sequence(stored, start, n)
    magnitudes, start = _decode_sequence(stored, start, n)
    if start != len(stored):
        raise ValueError(f"sparse integers take {start} bytes of {len(stored)}")

    follow = native_sparse.positions_of_gaps if has_host_kernels() else follow_gaps
    positions = follow(gaps, shape)
    if positions is None:
        raise ValueError(f"sparse integers lie outside of {shape} voxels")
    return positions, np.where(is_negative, -1 - magnitudes, magnitudes + 1)


def _to_ranks(positions: np.ndarray, shape: Shape3) -> np.ndarray:
    """Convert positions in C order to ranks."""
    _, grid_y, grid_x = grid_shape(shape, _SIDE)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    of_rows = (z // _SIDE * grid_y + y // _SIDE) * grid_x * _SIDE**3 + (z % _SIDE * _SIDE + y % _SIDE) * _SIDE
    of_columns = x // _SIDE * _SIDE**3 + x % _SIDE
    rows = positions // shape[2]
    return of_rows.reshape(-1)[rows] + of_columns.reshape(-1)[positions - rows * shape[2]]


def follow_gaps(gaps: np.ndarray, shape: Shape3) -> np.ndarray | None:
    """Turn gaps between ranks, int64 (n,), to positions in C order; None where one is outside."""
    ranks = np.cumsum(gaps + 1) - 1
    _, grid_y, grid_x = grid_shape(shape, _SIDE)
    block, within = ranks // _SIDE**3, ranks % _SIDE**3
    z = block // (grid_y * grid_x) * _SIDE + within // _SIDE**2
    y = block // grid_x % grid_y * _SIDE + within // _SIDE % _SIDE
    x = block % grid_x * _SIDE + within % _SIDE
    if any((index >= side).any() for index, side in zip((z, y, x), shape, strict=True)):
        return None
    return (z * shape[1] + y) * shape[2] + x


def _padded_groups(n_groups: int) -> int:
    """Number of groups that the program for ``n_groups`` groups is compiled for."""
    exponent = math.ceil(math.log(max(n_groups, 1) / _MIN_PADDED_GROUPS, _PADDING_FACTOR))
    return _MIN_PADDED_GROUPS * _PADDING_FACTOR ** max(0, exponent)


def _encode_sequence(values: np.ndarray) -> bytes:
    """Code integers that are not negative, int64 (n,).

    Begins with the scale + 1, or with 0 if all integers are 0; then nothing follows.
    """
    if not values.any():
        return encode_varints(0)
    # Distributions are two-sided: even integers become positive, odd ones negative.
    values = np.minimum(values, 2 * MAX_MAGNITUDE).astype(np.int32)
    signed = (values >> 1) ^ -(values & 1)
    n_groups = -(-len(values) // _GROUP_LENGTH)
    groups = np.zeros((_padded_groups(n_groups), _GROUP_LENGTH), np.int32)
    groups.reshape(-1)[: len(signed)] = signed
    # The last group is filled up with a common value, which takes few bits.
    common = int(np.median(signed[-_MEDIAN_LENGTH:]))
    groups.reshape(-1)[len(signed) : n_groups * _GROUP_LENGTH] = common
    stream, scale = _encode_groups(*jax.device_put((groups.T, np.int32(n_groups))))
    stored = words_to_bytes(stream)
    return encode_varints(1 + int(scale), int(stream.n_lanes), len(stored)) + stored


def _decode_sequence(stored: bytes, start: int, n: int) -> tuple[np.ndarray, int]:
    """Decode ``n`` integers that begin at byte ``start``; also return the byte at which they end."""
    (scale_plus_1,), start = decode_varints(stored, 1, start)
    if scale_plus_1 == 0:
        return np.zeros(n, np.int64), start
    if scale_plus_1 > N_SCALES:
        raise ValueError(f"sparse integers' header states scale {scale_plus_1 - 1}")
    (n_lanes, n_bytes), start = decode_varints(stored, 2, start)

    n_groups = -(-n // _GROUP_LENGTH)
    padded_groups = _padded_groups(n_groups)
    end = start + n_bytes
    if end > len(stored):
        raise ValueError("sparse integers are cut short")
    capacity = adaptive_geometric.capacity(padded_groups, _GROUP_LENGTH)
    stream = words_from_bytes(stored[start:end], n_lanes, max_lanes_for(padded_groups), capacity)
    groups = _decode_groups(
        stream, *jax.device_put((np.int32(scale_plus_1 - 1), np.int32(n_groups))), padded_groups
    )
    signed = np.asarray(groups).T.reshape(-1)[:n].astype(np.int64)
    return np.where(signed >= 0, 2 * signed, -2 * signed - 1), end


@jit_on_one_core
def _encode_groups(groups: jax.Array, count: jax.Array) -> tuple[WordStream, jax.Array]:
    """Code the first ``count`` of groups (64, n): the stream, and the scale."""
    scale = geometric_adaptation.choose_common_scale(groups, count)
    return adaptive_geometric.encode(groups, jnp.broadcast_to(scale, len(groups)), count), scale


@functools.partial(jax.jit, static_argnums=3)
def _decode_groups(stream: WordStream, scale: jax.Array, count: jax.Array, padded_groups: int) -> jax.Array:
    """Decode the first ``count`` of ``padded_groups`` groups, int32 (64, padded_groups)."""
    scales = jnp.broadcast_to(scale, _GROUP_LENGTH)
    return adaptive_geometric.decode(stream, scales, padded_groups, count)
