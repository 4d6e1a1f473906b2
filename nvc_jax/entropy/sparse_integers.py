"""Integers of a volume most of which are zero, to bytes and back: the gaps between the others.

Positions go block by block of 8³, so that what is near in the volume is near in the sequence, and the gaps
so far in a run of 64 tell what to expect.
"""

import functools
import math
import struct

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy import adaptive_geometric
from nvc_jax.entropy.interleaving import read_words, used_words
from nvc_jax.entropy.tokens import MAX_MAGNITUDE

_SIDE = 8
_RUN = 64
_HEAD = struct.Struct("<BxxxII")
_COUNT = struct.Struct("<I")


def encode_sparse(positions: np.ndarray, values: np.ndarray, shape: Shape3) -> bytes:
    """Code the integers of a volume that are not zero.

    Args:
        positions: int64 (n,), where they are, in C order, ascending.
        values: int64 (n,), none zero.
        shape: (z, y, x) of the volume.
    """
    keys = _to_block_order(positions, shape)
    order = np.argsort(keys)
    keys, values = keys[order], values[order]
    signs = np.packbits(values < 0).tobytes()
    gaps = np.diff(keys, prepend=-1) - 1
    return _COUNT.pack(len(keys)) + signs + _encode_sequence(gaps) + _encode_sequence(np.abs(values) - 1)


def decode_sparse(stored: bytes, shape: Shape3) -> tuple[np.ndarray, np.ndarray]:
    """Positions and values, not in order: the inverse of ``encode_sparse``.

    Raises:
        ValueError: the bytes cannot be of such integers.
    """
    if len(stored) < _COUNT.size:
        raise ValueError(f"sparse integers of {len(stored)} bytes lack their count")
    (n,) = _COUNT.unpack_from(stored)
    start = _COUNT.size + -(-n // 8)
    if n > math.prod(shape) or len(stored) < start:
        raise ValueError(f"{n} sparse integers in {len(stored)} bytes for {shape} voxels")
    signs = np.frombuffer(stored, np.uint8, start - _COUNT.size, _COUNT.size)
    is_negative = np.unpackbits(signs, count=n) > 0
    gaps, start = _decode_sequence(stored, start, n)
    magnitudes, start = _decode_sequence(stored, start, n)
    if start != len(stored):
        raise ValueError(f"sparse integers take {start} bytes of {len(stored)}")
    places = _from_block_order(np.cumsum(gaps + 1) - 1, shape)
    if any((place >= side).any() for place, side in zip(places, shape, strict=True)):
        raise ValueError(f"sparse integers lie outside of {shape} voxels")
    _, y, x = shape
    positions = (places[0] * y + places[1]) * x + places[2]
    return positions, np.where(is_negative, -1 - magnitudes, magnitudes + 1)


def _grid(shape: tuple[int, ...]) -> tuple[int, int, int]:
    z, y, x = (-(-side // _SIDE) for side in shape)
    return z, y, x


def _to_block_order(positions: np.ndarray, shape: Shape3) -> np.ndarray:
    """Positions block by block, from those in C order."""
    _, ny, nx = _grid(shape)
    z, rest = np.divmod(positions, shape[1] * shape[2])
    y, x = np.divmod(rest, shape[2])
    block = (z // _SIDE * ny + y // _SIDE) * nx + x // _SIDE
    return block * _SIDE**3 + (z % _SIDE * _SIDE + y % _SIDE) * _SIDE + x % _SIDE


def _from_block_order(keys: np.ndarray, shape: Shape3) -> tuple[np.ndarray, ...]:
    grid = _grid(shape)
    block, within = keys // _SIDE**3, keys % _SIDE**3
    layers = (block // (grid[1] * grid[2]), block // grid[2] % grid[1], block % grid[2])
    inner = (within // _SIDE**2, within // _SIDE % _SIDE, within % _SIDE)
    return tuple(layer * _SIDE + place for layer, place in zip(layers, inner, strict=True))


def _room(n_runs: int) -> int:
    """Runs that a program is compiled for: few sizes, so that few programs are compiled."""
    return 16 * 4 ** max(0, math.ceil(math.log(max(n_runs, 1) / 16, 4)))


def _encode_sequence(values: np.ndarray) -> bytes:
    """Code integers that are not negative, int64 (n,)."""
    if not values.any():
        return _HEAD.pack(0, 0, 0)
    # Even ones to one side of zero, odd ones to the other: the tables know two sides.
    signed = np.where(values % 2 == 0, values // 2, -(values + 1) // 2)
    n_runs = -(-len(values) // _RUN)
    runs = np.zeros((_room(n_runs), _RUN), np.int32)
    runs.reshape(-1)[: len(signed)] = np.clip(signed, -MAX_MAGNITUDE, MAX_MAGNITUDE)
    # What fills up the last run must not be rare.
    runs.reshape(-1)[len(signed) : n_runs * _RUN] = int(np.median(signed))
    words, used, n_lanes, scale = _encode(jnp.asarray(runs.T), jnp.int32(n_runs))
    head = _HEAD.pack(1 + int(scale), int(used), int(n_lanes))
    return head + used_words(words, int(used))


def _decode_sequence(stored: bytes, start: int, n: int) -> tuple[np.ndarray, int]:
    """``n`` integers that begin at ``start``, and where they end."""
    if len(stored) < start + _HEAD.size:
        raise ValueError("sparse integers are cut short")
    scale, used, n_lanes = _HEAD.unpack_from(stored, start)
    start += _HEAD.size
    if scale == 0:
        return np.zeros(n, np.int64), start
    if scale > adaptive_geometric.N_SCALES:
        raise ValueError(f"sparse integers name scale {scale}")
    n_runs = -(-n // _RUN)
    room = _room(n_runs)
    end = start + 2 * used
    words = read_words(stored[:end], start, used, n_lanes, room, adaptive_geometric.capacity(room, _RUN))
    runs = _decode(
        jnp.asarray(words), jnp.int32(used), jnp.int32(n_lanes), jnp.int32(scale - 1), jnp.int32(n_runs), room
    )
    signed = np.asarray(runs).T.reshape(-1)[:n].astype(np.int64)
    return np.where(signed >= 0, 2 * signed, -2 * signed - 1), end


@jax.jit
def _encode(runs: jax.Array, count: jax.Array) -> tuple[jax.Array, ...]:
    # What lies beyond the runs in use is as the first of them, so that it does not tell for the scale.
    is_used = jnp.arange(runs.shape[1])[None] < count
    scale = adaptive_geometric.choose_common_scale(jnp.where(is_used, runs, runs[:, :1]))
    return *adaptive_geometric.encode(runs, jnp.broadcast_to(scale, len(runs)), count), scale


@functools.partial(jax.jit, static_argnums=5)
def _decode(
    words: jax.Array, used: jax.Array, n_lanes: jax.Array, scale: jax.Array, count: jax.Array, room: int
) -> jax.Array:
    return adaptive_geometric.decode(words, used, n_lanes, jnp.broadcast_to(scale, _RUN), room, count)
