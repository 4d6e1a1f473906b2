"""Bodies of ranks: a table of the values of a chunk, and each value's rank in it on a lattice, lossless.

Floats that stem from integers, as of a scanner or of a packed file, take few different values. Their ranks
are then smooth where the values are, and take far fewer bits than the values' own bits.
"""

import math

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.uniform_quantization import from_ordered, to_ordered
from nvc_jax.chunks.value_bytes import pack_values, unpack_values
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.shapes import Shape3
from nvc_jax.core.systematic_sampling import scatter
from nvc_jax.lattice.plan import MAX_FIXED, fix_volume, plan_stream
from nvc_jax.lattice.stream import decode_lattice, encode_lattice

_MAX_SHARE = 1 / 2
"""Share of different values above which their table would take too many bytes."""
_SAMPLE_SIZE = 1 << 13
"""Values by which the encoder finds out soon that a chunk has too many different ones."""
_MAX_SAMPLE_SHARE = 0.9
"""Share of different values in such a sample above which ranks are not tried."""
_BITS_SHARE = 1 / 2
"""Bits of a rank over those of an index into the table: neighbours tell the rest."""
_TABLE_DTYPE = np.dtype(np.uint64)


def estimate_rank_bits(chunk: ChunkValues) -> float:
    """Estimate the bits of ranks from a sample of the values; infinite where too many are different."""
    flat = chunk.values.reshape(-1)
    sample = to_ordered(flat[scatter(flat.size, _SAMPLE_SIZE)])
    n_different = len(np.unique(sample))
    if n_different > _MAX_SAMPLE_SHARE * len(sample):
        return math.inf
    return _BITS_SHARE * flat.size * math.log2(max(n_different, 2))


def encode_ranks(chunk: ChunkValues, padded_shape: Shape3) -> bytes | None:
    """Code values by a table and ranks.

    Returns:
        The body; None where there are too many different values.
    """
    if not math.isfinite(estimate_rank_bits(chunk)):
        return None
    ordered = to_ordered(chunk.values)
    table = np.unique(ordered[chunk.valid])
    if len(table) > min(MAX_FIXED - 1, _MAX_SHARE * ordered.size):
        return None
    ranks = np.searchsorted(table, ordered).clip(max=len(table) - 1)
    filled = ChunkValues(ranks, chunk.valid, 0.0, len(table) - 1.0).filled()
    stream, _ = encode_lattice(plan_stream(fix_volume(filled, 0, padded_shape, chunk.valid)))
    # Differences wrap around: the first entry may be negative.
    packed = pack_values(np.diff(table, prepend=0).view(_TABLE_DTYPE))
    return encode_varints(len(table), len(packed)) + packed + stream


def decode_ranks(body: bytes, shape: Shape3, padded_shape: Shape3, dtype: np.dtype) -> np.ndarray:
    """Decode the body of ``encode_ranks``.

    Raises:
        ValueError: the bytes cannot be of such values.
    """
    (n_values, n_bytes), start = decode_varints(body, 2)
    if not 1 <= n_values < MAX_FIXED or len(body) < start + n_bytes:
        raise ValueError(f"ranks of {len(body)} bytes lack their table of {n_values} values")
    differences = unpack_values(body[start : start + n_bytes], (n_values,), _TABLE_DTYPE)
    table = np.cumsum(differences.view(np.int64), dtype=np.int64)
    ranks, fraction_bits = decode_lattice(body[start + n_bytes :], shape, padded_shape)
    if fraction_bits or ranks.min() < 0 or ranks.max() >= n_values:
        raise ValueError(f"ranks from {ranks.min()} to {ranks.max()} are of a table of {n_values} values")
    return from_ordered(table[ranks], dtype)
