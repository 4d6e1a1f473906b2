"""Signs and magnitudes of the reference decoder: section 13.9 of ``FORMAT.md``."""

from typing import NamedTuple

import numpy as np
from reference_common import Shape, require, round_to, take_varints
from reference_labels import decode_labels

PRECISIONS = ((20, np.dtype(np.int32)), (40, np.dtype(np.int64)))
"""Fraction bits and data type of the integers, by precision."""


class Logarithms(NamedTuple):
    """A body taken apart."""

    is_negative: np.ndarray
    fraction_bits: int
    dtype: np.dtype
    integers: bytes


def parse_logarithms(body: bytes, valid_shape: Shape, padded_shape: Shape) -> Logarithms:
    """Take the signs, the precision and the payload of the integers."""
    require(len(body) > 0, "logarithms are empty")
    signs, start = body[0] & 3, 1
    require(signs < 3 and body[0] < 8, "logarithms state unknown signs or an unknown precision")
    labels = np.full(valid_shape, signs)
    if signs == 2:
        (n_bytes,), start = take_varints(body, 1, start)
        require(start + n_bytes <= len(body), "the signs do not fit")
        labels = decode_labels(body[start : start + n_bytes], valid_shape, padded_shape)
        require(bool(labels.max() <= 1), "a sign has an unknown label")
        start += n_bytes
    return Logarithms(labels == 1, *PRECISIONS[body[0] >> 2], body[start:])


def first_factors() -> list[float]:
    """Make the table `first`."""
    first, root = [1.0], 2.0
    for _ in range(8):
        root = float(np.sqrt(root))
        first = [product for factor in first for product in (factor, factor * root)]
    return first


def to_values(logarithms: Logarithms, integers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Turn integers into values."""
    bits, y = logarithms.fraction_bits, integers.astype(np.int64)
    i = (y >> (bits - 8)) & 255
    g = (y & (2 ** (bits - 8) - 1)) * (0.6931471805599453 / 2**bits)
    p = np.full(y.shape, 1 / 120)
    for c in (1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        p = p * g + c
    with np.errstate(over="ignore", under="ignore"):
        magnitudes = np.ldexp(np.array(first_factors())[i] * p, np.clip(y >> bits, -3000, 3000))
    largest = float(np.finfo(np.float64).max)
    magnitudes = np.minimum(magnitudes, largest)
    return round_to(np.where(logarithms.is_negative, -magnitudes, magnitudes), dtype)
