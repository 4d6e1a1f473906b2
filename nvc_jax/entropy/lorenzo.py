"""Lorenzo coder: integers of a volume to bytes and back, by differences to neighbours and rANS.

Chunks use it where the transform takes more bytes, and lossless storage uses it for all values. It works on
integers only, so a stream decodes to the same values on every machine.

The encoder takes differences along one or more axes (along all three, a Lorenzo predictor: Ibarria et al.,
2003). The lowest bits of the differences, if they are noise, are stored as bit planes, and differences too
large for the entropy coder as outliers. The rest goes to the adaptive geometric coder, in cubes of 4³ within
which the coder adapts to the magnitudes.
"""

import functools
import math
import struct
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.compiler_options import jit_on_one_core
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.core.slabs import map_slabs, slabs
from nvc_jax.entropy import adaptive_geometric, geometric_adaptation
from nvc_jax.entropy.delta_prediction import accumulate, difference, difference_in_place
from nvc_jax.entropy.geometric_distributions import MAX_MEAN_BITS, N_SCALES
from nvc_jax.entropy.interleaving import max_lanes_for
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.entropy.word_stream import WordStream, words_from_bytes, words_to_bytes

_CUBE = 4
"""Side of the cubes that are the blocks of the entropy coder."""
_PREDICTORS: tuple[tuple[int, ...], ...] = ((), (2,), (1, 2), (0, 1, 2), (2, 2), (0, 1, 2, 0, 1, 2))
"""Axes to difference along, one after the other; the encoder chooses one entry."""
_MAX_LOW_BITS = 63
"""Largest shift and largest number of low bits that a header may state: those of int64."""
_SAMPLE_SIZE = 1 << 16
"""Approximate number of integers from which the encoder estimates the cost of each predictor."""
_ESCAPE_BITS = 36
"""Estimated bits of an integer beyond the tables' largest mean: an escape and the integer itself."""
_OUTLIER_BITS = 96
"""Bits of an outlier: four bytes of position and eight of value."""
_LENGTHS = 65
"""Numbers of bits that a magnitude of int64 may have: 0 to 64."""


class _Header(NamedTuple):
    """Header of coded integers.

    Attributes:
        predictor: index in _PREDICTORS.
        shift: number of lowest bits that are 0 in all integers less ``base``; they are not stored.
        low_bits: number of lowest bits of the differences that are stored as bit planes.
        scale: of the adaptive geometric coder, for all positions in a cube.
        base: the first integer, which is subtracted from all.
        n_lanes: number of lanes.
        n_outliers: number of differences beyond the entropy coder's reach.
    """

    predictor: int
    shift: int
    low_bits: int
    scale: int
    base: int
    n_lanes: int
    n_outliers: int


_FIXED_FIELDS = struct.Struct("<BBBBq")
"""Fields of a header before the numbers of lanes and outliers, which are varints."""


def encode_integers(integers: np.ndarray, padded_shape: Shape3) -> bytes:
    """Code the integers of a volume.

    Args:
        integers: int64 (z, y, x).
        padded_shape: (z, y, x), no smaller than the volume's: the shape that the program is compiled for.
            Volumes of many shapes share one program.
    """
    # Differences wrap round at the limits of int64, and so do the sums that undo them.
    base = int(integers.flat[0])
    rest = integers - np.int64(base)
    shift = _trailing_zeros(rest)
    rest >>= shift

    sample = _central_sample(rest)
    predictor = min(range(len(_PREDICTORS)), key=lambda index: _bits_per_integer(sample, _PREDICTORS[index]))
    residuals = rest  # in the same array: of a chunk of 128³, each in int64 takes 16 MiB
    difference_in_place(residuals, _PREDICTORS[predictor])

    low_bits = _choose_low_bits(residuals)
    is_outlier = map_slabs(lambda slab: ~_is_within_reach(slab >> low_bits), residuals, dtype=bool)
    outliers = (
        np.flatnonzero(is_outlier).astype("<u4").tobytes() + residuals[is_outlier].astype("<i8").tobytes()
    )
    residuals[is_outlier] = 0
    high = map_slabs(lambda slab: slab >> low_bits, residuals, dtype=np.int32)
    stream, scale = _encode_cubes(jax.device_put(_to_cubes(high, padded_shape)))

    header = _FIXED_FIELDS.pack(predictor, shift, low_bits, int(scale), base)
    header += encode_varints(int(stream.n_lanes), int(is_outlier.sum()))
    low = _pack_bit_planes(residuals, low_bits)
    return header + words_to_bytes(stream) + low + outliers


def decode_integers(stored: bytes, shape: Shape3, padded_shape: Shape3) -> np.ndarray:
    """Decode the integers of a volume; the inverse of ``encode_integers``.

    Returns:
        int64 of ``shape``.

    Raises:
        ValueError: the bytes cannot be of such integers.
    """
    n = math.prod(shape)
    header, start = _read_header(stored, n)
    positions_end = len(stored) - 8 * header.n_outliers
    low_end = positions_end - 4 * header.n_outliers
    words_end = low_end - header.low_bits * -(-n // 8)
    if words_end < start:
        raise ValueError(f"coded integers of {len(stored)} bytes are cut short")

    n_cubes = math.prod(-(-side // _CUBE) for side in padded_shape)
    capacity = adaptive_geometric.capacity(n_cubes, _CUBE**3)
    stream = words_from_bytes(stored[start:words_end], header.n_lanes, max_lanes_for(n_cubes), capacity)
    cubes = _decode_cubes(stream, jax.device_put(np.int32(header.scale)), n_cubes)
    residuals = _from_cubes(np.asarray(cubes), shape, padded_shape).astype(np.int64) << header.low_bits
    residuals |= _unpack_bit_planes(stored[words_end:low_end], header.low_bits, shape)

    positions = np.frombuffer(stored, "<u4", header.n_outliers, low_end)
    if header.n_outliers and int(positions.max()) >= n:
        raise ValueError(f"coded integers have an outlier at {positions.max()} of {n}")
    residuals.reshape(-1)[positions] = np.frombuffer(stored, "<i8", header.n_outliers, positions_end)
    rest = accumulate(residuals, _PREDICTORS[header.predictor])
    return (rest << header.shift) + np.int64(header.base)


def _read_header(stored: bytes, n: int) -> tuple[_Header, int]:
    """Read and check the header of ``n`` integers; also return the offset behind it."""
    if len(stored) < _FIXED_FIELDS.size:
        raise ValueError(f"coded integers of {len(stored)} bytes lack their header")
    counts, start = decode_varints(stored, 2, _FIXED_FIELDS.size)
    header = _Header(*_FIXED_FIELDS.unpack_from(stored), *counts)
    if (
        header.predictor >= len(_PREDICTORS)
        or max(header.shift, header.low_bits) > _MAX_LOW_BITS
        or header.scale >= N_SCALES
        or header.n_outliers > n
    ):
        raise ValueError(
            f"coded integers' header states predictor {header.predictor}, shift {header.shift}, "
            f"{header.low_bits} low bits, scale {header.scale}, {header.n_outliers} outliers"
        )
    return header, start


def estimate_bits(integers: np.ndarray) -> float:
    """Estimate the bits that each of these integers takes on average, from a sample of them."""
    sample = _central_sample(integers)
    return min(_bits_per_integer(sample, axes) for axes in _PREDICTORS)


def _trailing_zeros(integers: np.ndarray) -> int:
    """Count the lowest bits that are zero in all integers."""
    bits = int(np.bitwise_or.reduce(integers, axis=None))
    return (bits & -bits).bit_length() - 1 if bits else 0


def _central_sample(integers: np.ndarray) -> np.ndarray:
    """Cut about _SAMPLE_SIZE integers out of the middle of a volume."""
    share = min(1.0, (_SAMPLE_SIZE / integers.size) ** (1 / 3))
    sides = [max(1, round(side * share)) for side in integers.shape]
    starts = [(length - side) // 2 for length, side in zip(integers.shape, sides, strict=True)]
    return integers[tuple(slice(a, a + side) for a, side in zip(starts, sides, strict=True))]


def _bits_per_integer(sample: np.ndarray, axes: tuple[int, ...]) -> float:
    """Estimate the bits that differences along such axes take on average."""
    # The first integers along an axis lack the neighbours that they have in the volume: they are left out.
    inner = tuple(slice(min(axes.count(a), side - 1), None) for a, side in enumerate(sample.shape))
    residuals = difference(sample, axes)[inner]
    magnitudes = np.abs(residuals.astype(np.float64))

    zeros = float(np.mean(magnitudes == 0))
    zero_bits = -sum(share * math.log2(share) for share in (zeros, 1 - zeros) if share > 0)
    # A magnitude's power of two leaves its sign open and, by the distribution of magnitudes, one more bit.
    return zero_bits + 2 * (1 - zeros) + float(np.mean(np.log2(np.maximum(magnitudes, 1))))


def _choose_low_bits(residuals: np.ndarray) -> int:
    """Choose the number of lowest bits to store as bit planes: the one that takes the fewest bits in all.

    The other bits must be in the entropy coder's reach.
    """
    count = np.zeros(_LENGTHS)
    for slab in slabs(residuals.shape):
        magnitudes = np.abs(residuals[slab]).astype(np.uint64)  # uint64 holds |−2**63|
        lengths = np.frexp(magnitudes.astype(np.float64))[1]  # at most one too large, next to powers of two
        count += np.bincount(lengths.reshape(-1), minlength=_LENGTHS)
    length = np.arange(_LENGTHS)

    def bits(low: int) -> float:
        each = np.where(length > low + MAX_MEAN_BITS, _ESCAPE_BITS + low, np.maximum(length, low) + 1)
        each = np.where(length > low + MAX_MAGNITUDE.bit_length(), _OUTLIER_BITS + low, each)
        return float(count @ each)

    return min(range(0, max(1, int(length[count > 0].max()) - MAX_MEAN_BITS + 2)), key=bits)


def _is_within_reach(high: np.ndarray) -> np.ndarray:
    """Tell which integers the entropy coder reaches; −2**63 has no magnitude in int64."""
    return (high <= MAX_MAGNITUDE) & (high >= -MAX_MAGNITUDE)


def _pack_bit_planes(residuals: np.ndarray, n_bits: int) -> bytes:
    """Pack the lowest bits, plane by plane."""
    planes = ((residuals >> bit & 1).astype(bool) for bit in range(n_bits))
    return b"".join(np.packbits(plane).tobytes() for plane in planes)


def _unpack_bit_planes(stored: bytes, n_bits: int, shape: Shape3) -> np.ndarray:
    """Unpack the lowest bits, int64 of ``shape``; the inverse of ``_pack_bit_planes``."""
    n = math.prod(shape)
    low = np.zeros(n, np.int64)
    planes = np.frombuffer(stored, np.uint8).reshape(n_bits, -1) if n_bits else ()
    for bit, plane in enumerate(planes):
        low |= np.unpackbits(plane, count=n).astype(np.int64) << bit
    return low.reshape(shape)


def _to_cubes(integers: np.ndarray, padded_shape: Shape3) -> np.ndarray:
    """Cut integers (z, y, x) into cubes of 4³, (64, n), with zeros beyond the volume."""
    sides = [-(-side // _CUBE) * _CUBE for side in padded_shape]
    widths = [(0, padded - side) for padded, side in zip(sides, integers.shape, strict=True)]
    z, y, x = (side // _CUBE for side in sides)
    cubes = np.pad(integers, widths).reshape(z, _CUBE, y, _CUBE, x, _CUBE)
    return cubes.transpose(1, 3, 5, 0, 2, 4).reshape(_CUBE**3, -1)


def _from_cubes(cubes: np.ndarray, shape: Shape3, padded_shape: Shape3) -> np.ndarray:
    """Assemble integers of ``shape`` from cubes (64, n); the inverse of ``_to_cubes``."""
    z, y, x = (-(-side // _CUBE) for side in padded_shape)
    blocks = cubes.reshape(_CUBE, _CUBE, _CUBE, z, y, x).transpose(3, 0, 4, 1, 5, 2)
    volume = blocks.reshape(z * _CUBE, y * _CUBE, x * _CUBE)
    return volume[tuple(slice(0, side) for side in check_shape(shape))]


@jit_on_one_core
def _encode_cubes(cubes: jax.Array) -> tuple[WordStream, jax.Array]:
    """Code cubes: the stream, and the scale of all positions in a cube."""
    scale = geometric_adaptation.choose_common_scale(cubes, jnp.int32(cubes.shape[1]))
    return adaptive_geometric.encode(cubes, jnp.broadcast_to(scale, len(cubes))), scale


@functools.partial(jax.jit, static_argnums=2)
def _decode_cubes(stream: WordStream, scale: jax.Array, n_cubes: int) -> jax.Array:
    """Decode cubes, int32 (64, n_cubes)."""
    return adaptive_geometric.decode(stream, jnp.broadcast_to(scale, _CUBE**3), n_cubes)
