"""Integers of a volume to bytes and back: differences to neighbours, entropy-coded on the device.

What the codec falls back on where its transform does not pay, and what lossless storage rests on. Integers
only, so that what is stored decodes to the same values on every machine. Differences are taken along one or
more axes (of all three, a Lorenzo predictor: Ibarria et al., 2003), then coded in cubes of 4³, in each of
which the magnitudes so far tell what to expect.
"""

import functools
import math
import struct

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.entropy import adaptive_geometric
from nvc_jax.entropy.delta_prediction import accumulate, difference
from nvc_jax.entropy.interleaving import read_words, used_words
from nvc_jax.entropy.tokens import MAX_MAGNITUDE

_CUBE = 4
_AXES: tuple[tuple[int, ...], ...] = ((), (2,), (1, 2), (0, 1, 2), (2, 2), (0, 1, 2, 0, 1, 2))
"""Axes to difference along, one after the other; the encoder chooses."""
_MAX_LOW_BITS = 63
_HEAD = struct.Struct("<BBBBIIIq")
_SAMPLES = 1 << 16


def encode_integers(integers: np.ndarray, room: Shape3) -> bytes:
    """Code integers.

    Args:
        integers: int64 (z, y, x).
        room: (z, y, x), at least as large: what the compiled program is made for, so that volumes of many
            shapes share one.
    """
    base = int(integers.flat[0])
    # Differences wrap round, and so do the sums that undo them.
    rest = integers - np.int64(base)
    shift = _trailing_zeros(rest)
    rest = rest >> shift
    predictor = min(range(len(_AXES)), key=lambda index: _cost(_sample(rest), _AXES[index]))
    residuals = difference(rest, _AXES[predictor])
    low_bits = _choose_low_bits(residuals)
    high = residuals >> low_bits
    far = np.abs(high) > MAX_MAGNITUDE
    cubes = _to_cubes(np.where(far, 0, high).astype(np.int32), room)
    words, used, n_lanes, scale = _encode(jnp.asarray(cubes))
    low = _pack_low(np.where(far, 0, residuals), low_bits)
    outliers = np.flatnonzero(far).astype("<u4").tobytes() + residuals[far].astype("<i8").tobytes()
    head = _HEAD.pack(predictor, shift, low_bits, int(scale), int(used), int(n_lanes), int(far.sum()), base)
    return head + used_words(words, int(used)) + low + outliers


def decode_integers(payload: bytes, shape: Shape3, room: Shape3) -> np.ndarray:
    """The inverse of ``encode_integers``: int64 of ``shape``.

    Raises:
        ValueError: the payload cannot be of such integers.
    """
    n = math.prod(shape)
    if len(payload) < _HEAD.size:
        raise ValueError(f"coded integers of {len(payload)} bytes lack their head of {_HEAD.size}")
    predictor, shift, low_bits, scale, used, n_lanes, n_far, base = _HEAD.unpack_from(payload)
    if (
        predictor >= len(_AXES)
        or max(shift, low_bits) > _MAX_LOW_BITS
        or scale >= adaptive_geometric.N_SCALES
        or n_far > n
    ):
        raise ValueError(
            f"coded integers name predictor {predictor}, shift {shift}, {low_bits} low bits, scale {scale}, "
            f"{n_far} outliers"
        )
    ends = np.cumsum([_HEAD.size, 2 * used, low_bits * -(-n // 8), 4 * n_far, 8 * n_far]).tolist()
    if len(payload) != ends[-1]:
        raise ValueError(f"coded integers take {len(payload)} bytes; their head says {ends[-1]}")
    n_cubes = math.prod(-(-side // _CUBE) for side in room)
    capacity = adaptive_geometric.capacity(n_cubes, _CUBE**3)
    words = read_words(payload[: ends[1]], _HEAD.size, used, n_lanes, n_cubes, capacity)
    cubes = _decode(jnp.asarray(words), jnp.int32(used), jnp.int32(n_lanes), jnp.int32(scale), n_cubes)
    residuals = _from_cubes(np.asarray(cubes), shape, room).astype(np.int64) << low_bits
    residuals |= _unpack_low(payload[ends[1] : ends[2]], low_bits, shape)
    where = np.frombuffer(payload, "<u4", n_far, ends[2])
    if n_far and int(where.max()) >= n:
        raise ValueError(f"coded integers have an outlier at {where.max()} of {n}")
    residuals.reshape(-1)[where] = np.frombuffer(payload, "<i8", n_far, ends[3])
    return (accumulate(residuals, _AXES[predictor]) << shift) + np.int64(base)


def estimate_bits(integers: np.ndarray) -> float:
    """About how many bits each of these integers takes, from a sample of them."""
    sample = _sample(integers)
    return min(_cost(sample, axes) for axes in _AXES)


def _trailing_zeros(integers: np.ndarray) -> int:
    """How many of the lowest bits are zero in all integers."""
    bits = int(np.bitwise_or.reduce(integers, axis=None))
    return (bits & -bits).bit_length() - 1 if bits else 0


def _sample(integers: np.ndarray) -> np.ndarray:
    """A part of a volume whose middle is the volume's, of about _SAMPLES integers."""
    share = min(1.0, (_SAMPLES / integers.size) ** (1 / 3))
    sides = [max(1, round(side * share)) for side in integers.shape]
    starts = [(whole - side) // 2 for whole, side in zip(integers.shape, sides, strict=True)]
    return integers[tuple(slice(a, a + side) for a, side in zip(starts, sides, strict=True))]


def _cost(sample: np.ndarray, axes: tuple[int, ...]) -> float:
    """About how many bits differences along such axes take."""
    # What lies at the sample's boundaries has no neighbours there, but has them in the volume.
    inner = tuple(slice(min(axes.count(a), side - 1), None) for a, side in enumerate(sample.shape))
    residuals = difference(sample, axes)[inner]
    magnitudes = np.abs(residuals.astype(np.float64))
    zeros = float(np.mean(magnitudes == 0))
    is_zero = -sum(share * math.log2(share) for share in (zeros, 1 - zeros) if share > 0)
    # What a magnitude leaves open takes a sign and, as magnitudes go, another bit.
    return is_zero + 2 * (1 - zeros) + float(np.mean(np.log2(np.maximum(magnitudes, 1))))


def _choose_low_bits(residuals: np.ndarray) -> int:
    """How many of the lowest bits to store as they are: the others must be in the entropy coder's reach."""
    magnitudes = np.abs(residuals).astype(np.uint64)  # |−2**63| has its place there
    lengths = np.frexp(magnitudes.astype(np.float64))[1]  # at most one too large, next to powers of two
    count = np.bincount(lengths.reshape(-1), minlength=65).astype(np.float64)
    length = np.arange(len(count))

    def bits(low: int) -> float:
        each = np.where(
            length > low + adaptive_geometric.MAX_MEAN_BITS, 36 + low, np.maximum(length, low) + 1
        )
        each = np.where(length > low + MAX_MAGNITUDE.bit_length(), 96 + low, each)
        return float(count @ each)

    return min(range(0, max(1, int(lengths.max()) - adaptive_geometric.MAX_MEAN_BITS + 2)), key=bits)


def _pack_low(residuals: np.ndarray, n_bits: int) -> bytes:
    """The lowest bits, plane by plane."""
    planes = ((residuals >> bit & 1).astype(bool) for bit in range(n_bits))
    return b"".join(np.packbits(plane).tobytes() for plane in planes)


def _unpack_low(stored: bytes, n_bits: int, shape: Shape3) -> np.ndarray:
    n = math.prod(shape)
    low = np.zeros(n, np.int64)
    planes = np.frombuffer(stored, np.uint8).reshape(n_bits, -1) if n_bits else ()
    for bit, plane in enumerate(planes):
        low |= np.unpackbits(plane, count=n).astype(np.int64) << bit
    return low.reshape(shape)


def _to_cubes(integers: np.ndarray, room: Shape3) -> np.ndarray:
    """Integers (z, y, x) as (64, n): cubes of 4³, zeros where there is nothing."""
    sides = [-(-side // _CUBE) * _CUBE for side in room]
    widths = [(0, side - have) for side, have in zip(sides, integers.shape, strict=True)]
    z, y, x = (side // _CUBE for side in sides)
    cubes = np.pad(integers, widths).reshape(z, _CUBE, y, _CUBE, x, _CUBE)
    return cubes.transpose(1, 3, 5, 0, 2, 4).reshape(_CUBE**3, -1)


def _from_cubes(cubes: np.ndarray, shape: Shape3, room: Shape3) -> np.ndarray:
    z, y, x = (-(-side // _CUBE) for side in room)
    whole = cubes.reshape(_CUBE, _CUBE, _CUBE, z, y, x).transpose(3, 0, 4, 1, 5, 2)
    whole = whole.reshape(z * _CUBE, y * _CUBE, x * _CUBE)
    return whole[tuple(slice(0, side) for side in check_shape(shape))]


@jax.jit
def _encode(cubes: jax.Array) -> tuple[jax.Array, ...]:
    """Words, how many are in use, lanes, and the scale of all places in a cube."""
    scale = adaptive_geometric.choose_common_scale(cubes)
    return *adaptive_geometric.encode(cubes, jnp.broadcast_to(scale, len(cubes))), scale


@functools.partial(jax.jit, static_argnums=4)
def _decode(
    words: jax.Array, used: jax.Array, n_lanes: jax.Array, scale: jax.Array, n_cubes: int
) -> jax.Array:
    return adaptive_geometric.decode(words, used, n_lanes, jnp.broadcast_to(scale, _CUBE**3), n_cubes)
