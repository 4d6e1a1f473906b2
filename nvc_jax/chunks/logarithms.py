"""Bodies of payloads under a pointwise bound: signs, and binary logarithms of magnitudes in fixed point.

An integer y stands for the magnitude 2**(y / 2**F), with F fraction bits. The integers are the values of a
payload of their own, of any kind. They become magnitudes again by float64 operations that IEEE 754 rounds
correctly, so that every machine decodes the same values, and a larger integer never gives a smaller value.
"""

import enum
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.payload import Payload, PayloadKind, parse_payload
from nvc_jax.chunks.uniform_quantization import round_to_dtype
from nvc_jax.core.filling import fill_with_last
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.core.slabs import map_slabs
from nvc_jax.entropy.label_volumes import decode_labels, encode_labels

_INDEX_BITS = 8
"""Bits of a fraction by which the first factor of its power of two is looked up."""
_SERIES = (1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)
"""Coefficients of the exponential function's series, the highest power first."""
_LOG_2 = 0.6931471805599453
_MAX_EXPONENT = 2000
"""Magnitude of exponents beyond which every power of two is 0 or infinite in float64."""
_INTEGER_KINDS = frozenset(PayloadKind) - {
    *(PayloadKind.LATENTS, PayloadKind.LOGARITHMS, PayloadKind.STEPS, PayloadKind.PREDICTED),
}
"""Kinds of payloads that logarithms may have."""


class Precision(NamedTuple):
    """Fixed point of logarithms.

    Attributes:
        fraction_bits: F; the distance of neighbouring logarithms is 2**−F.
        dtype: of the integers, which holds the logarithms of all float64.
    """

    fraction_bits: int
    dtype: np.dtype


PRECISIONS = (Precision(20, np.dtype(np.int32)), Precision(40, np.dtype(np.int64)))
"""Precisions by the number that a body states."""


class _Signs(enum.IntEnum):
    """Signs of a chunk's values: all the same, or a label for each voxel, 1 for negative."""

    POSITIVE = 0
    NEGATIVE = 1
    LABELS = 2


_SIGN_BITS = 3
_PRECISION_BIT = 4


def _first_factors() -> np.ndarray:
    """Powers of two of the fractions i / 256, float64, by square roots and products."""
    factors, root = np.ones(1), 2.0
    for _ in range(_INDEX_BITS):
        root = float(np.sqrt(root))
        factors = np.stack([factors, factors * root], axis=1).reshape(-1)
    return factors


_FACTORS = _first_factors()


def powers_of_two(integers: np.ndarray, fraction_bits: int) -> np.ndarray:
    """Magnitudes 2**(y / 2**F), float64, of integers y; 0 or infinite beyond float64's ends."""
    low_bits = fraction_bits - _INDEX_BITS

    def powers(slab: np.ndarray) -> np.ndarray:
        slab = slab.astype(np.int64)
        rest = (slab & ((1 << low_bits) - 1)).astype(np.float64) * (_LOG_2 / (1 << fraction_bits))
        series = np.full(slab.shape, _SERIES[0])
        for coefficient in _SERIES[1:]:
            series = series * rest + coefficient
        first = _FACTORS[(slab >> low_bits) & ((1 << _INDEX_BITS) - 1)]
        exponents = np.clip(slab >> fraction_bits, -_MAX_EXPONENT, _MAX_EXPONENT).astype(np.int32)
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(first * series, exponents)

    return map_slabs(powers, integers, dtype=np.float64)


def to_values(
    integers: np.ndarray, is_negative: np.ndarray | bool, fraction_bits: int, dtype: np.dtype
) -> np.ndarray:
    """Values of ``dtype`` of logarithms and signs; those beyond the dtype's ends become the ends."""
    magnitudes = powers_of_two(integers, fraction_bits)
    signed = np.negative(magnitudes, out=magnitudes, where=is_negative)
    return map_slabs(lambda slab: round_to_dtype(slab, dtype), signed, dtype=dtype)


def encode_logarithms(
    integers: Payload, values: np.ndarray, valid: np.ndarray, precision: Precision, padded_shape: Shape3
) -> bytes:
    """Put a body together.

    Args:
        integers: payload of the logarithms.
        values: (z, y, x), whose signs are stored.
        valid: bool (z, y, x), values that the body gives.
        precision: one of ``PRECISIONS``.
        padded_shape: (z, y, x) of a whole chunk.
    """
    is_negative = fill_with_last(values < 0, valid)
    is_same = is_negative.all() or not is_negative.any()
    signs = _Signs(int(is_negative.all())) if is_same else _Signs.LABELS
    header = bytes([signs + _PRECISION_BIT * PRECISIONS.index(precision)])
    if signs == _Signs.LABELS:
        labels = encode_labels(is_negative.astype(np.uint8), padded_shape)
        header += encode_varints(len(labels)) + labels
    return header + integers._replace(max_error=0.0).to_bytes(check_shape(values.shape))


class _ParsedBody(NamedTuple):
    """A body taken apart; ``labels`` are empty where all signs are the same."""

    signs: _Signs
    labels: bytes
    precision: Precision
    integers: Payload


def _parse(body: bytes, shape: Shape3) -> _ParsedBody:
    """Take a body apart.

    Raises:
        ValueError: the bytes cannot be of such a body.
    """
    first, start, labels = body[0] if body else 255, 1, b""
    if first & _SIGN_BITS > _Signs.LABELS or first >= 2 * _PRECISION_BIT:
        raise ValueError(f"logarithms state {body[:1]!r}")
    signs = _Signs(first & _SIGN_BITS)
    if signs == _Signs.LABELS:
        (n_bytes,), start = decode_varints(body, 1, start)
        if n_bytes > len(body) - start:
            raise ValueError(f"logarithms of {len(body)} bytes state signs of {n_bytes}")
        labels, start = body[start : start + n_bytes], start + n_bytes
    integers = parse_payload(body[start:], shape)
    if integers.kind not in _INTEGER_KINDS or integers.valid_shape != shape or integers.special_values:
        raise ValueError(
            f"logarithms of {shape} voxels are of kind {integers.kind}, have {integers.valid_shape} voxels "
            f"and {len(integers.special_values)} bytes of special values"
        )
    return _ParsedBody(signs, labels, PRECISIONS[first // _PRECISION_BIT], integers)


def decode_logarithms(
    body: bytes,
    shape: Shape3,
    padded_shape: Shape3,
    dtype: np.dtype,
    decode_integers: Callable[[Payload, np.dtype], np.ndarray],
) -> np.ndarray:
    """Decode the body of ``encode_logarithms``.

    Args:
        body: the bytes.
        shape: (z, y, x) of the chunk.
        padded_shape: (z, y, x) of a whole chunk.
        dtype: of the volume.
        decode_integers: decodes the body of a payload of a dtype.

    Raises:
        ValueError: the bytes cannot be of such a body.
    """
    signs, labels, precision, integers = _parse(body, shape)
    is_negative: np.ndarray | bool = signs == _Signs.NEGATIVE
    if signs == _Signs.LABELS:
        decoded = decode_labels(labels, shape, padded_shape)
        if decoded.max() > 1:
            raise ValueError(f"a sign has the label {decoded.max()}")
        is_negative = decoded > 0
    return to_values(decode_integers(integers, precision.dtype), is_negative, precision.fraction_bits, dtype)


def innermost(payload: Payload) -> Payload:
    """Payload of the logarithms that a payload holds, or the payload itself."""
    is_of_logarithms = payload.kind == PayloadKind.LOGARITHMS
    return _parse(payload.body, payload.valid_shape).integers if is_of_logarithms else payload
