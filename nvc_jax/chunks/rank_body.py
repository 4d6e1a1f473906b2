"""Bodies of ranks: a table of the values of a chunk, and each value's rank in it on a lattice, lossless.

Floats that stem from integers, as of a scanner or of a packed file, take few different values. Their ranks
are then smooth where the values are, and take far fewer bits than the values' own bits.
"""

import ctypes
import math
from typing import NamedTuple

import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.sampled_values import draw_values, has_more_different
from nvc_jax.chunks.special_values import bit_patterns
from nvc_jax.chunks.uniform_quantization import from_ordered, to_ordered
from nvc_jax.chunks.value_bytes import pack_values, unpack_values
from nvc_jax.core.header_fields import decode_varints, encode_varints
from nvc_jax.core.searching import different_integers
from nvc_jax.core.shapes import Shape3
from nvc_jax.core.slabs import map_slabs
from nvc_jax.lattice.estimate import Counts, Estimate, estimate_coding
from nvc_jax.lattice.plan import MAX_FIXED, FixedVolume, Plan, fix_volume, plan_stream
from nvc_jax.lattice.stream import decode_lattice, encode_lattice
from nvc_jax.native.host_kernels import call_on_host, serves

_MAX_SHARE = 1 / 2
"""Share of different values above which their table would take too many bytes."""
_SAMPLE_SIZE = 1 << 13
"""Values by which the encoder finds out soon that a chunk has too many different ones."""
_MAX_SAMPLE_SHARE = 0.9
"""Share of different values in such a sample above which ranks are not tried."""
_TABLE_DTYPE = np.dtype(np.uint64)


class RankedValues(NamedTuple):
    """The ranks of a chunk's values on a lattice.

    Attributes:
        table: int64 (n,), the different values in order, as ``to_ordered`` maps them.
        packed_table: bytes of the table.
        volume: the ranks.
        n_valid: number of valid values.
    """

    table: np.ndarray
    packed_table: bytes
    volume: FixedVolume
    n_valid: int

    def estimate(self, counts: Counts) -> Estimate:
        """Estimate what the values will take, by the counts of a plan."""
        estimate = estimate_coding(counts, self.n_valid, 1.0, is_exact=True)
        return estimate._replace(bits=estimate.bits + 8 * len(self.packed_table) if estimate.bits else 0.0)


def typical_gap(table: np.ndarray, dtype: np.dtype) -> float:
    """Find the typical distance of neighbours among the different values of a chunk.

    Args:
        table: int64 (n,), values in order, as ``to_ordered`` maps them.
        dtype: of the values.

    Returns:
        The median, in units of the values; 0 for fewer than two.
    """
    differences = _differences(table, dtype)
    return float(np.median(differences)) if differences.size else 0.0


def _differences(table: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Differences of neighbours in a table, float64."""
    with np.errstate(over="ignore"):
        return np.diff(from_ordered(table, dtype).astype(np.float64))


def _sample_values(chunk: ChunkValues) -> np.ndarray | None:
    """Find the different values of a sample of a chunk, as ``to_ordered`` maps them: int64 (n,), ascending.

    Returns:
        The values; None where too many are different.
    """
    n_places = min(_SAMPLE_SIZE, chunk.values.size)
    if has_more_different(chunk, n_places, math.floor(_MAX_SAMPLE_SHARE * n_places)):
        return None
    return different_integers(to_ordered(draw_values(chunk, n_places)))


def rank_values(chunk: ChunkValues, padded_shape: Shape3, least_gap: float = 0.0) -> RankedValues | None:
    """Rank the values of a chunk, some of which are valid.

    Args:
        chunk: the values.
        padded_shape: (z, y, x) of a whole chunk.
        least_gap: typical distance of neighbouring values below which the chunk has no ranks, in its units.

    Returns:
        The ranks; None where there are too many different values, or they are too near each other.
    """
    sample, dtype = _sample_values(chunk), chunk.values.dtype
    if sample is None or typical_gap(sample, dtype) < least_gap:
        return None
    table, ranks = _rank_on_grid(chunk, sample) or _rank_by_search(chunk)
    limit = min(MAX_FIXED - 1, _MAX_SHARE * ranks.size)
    if len(table) > limit or typical_gap(table, dtype) < least_gap:
        return None
    filled = ChunkValues(ranks, chunk.valid, 0.0, len(table) - 1.0, chunk.n_valid).filled()
    # Differences wrap around: the first entry may be negative.
    packed = pack_values(np.diff(table, prepend=0).view(_TABLE_DTYPE))
    volume = fix_volume(filled, 0, padded_shape, chunk.valid, (0, len(table) - 1))
    return RankedValues(table, packed, volume, chunk.n_valid)


def _rank_by_search(chunk: ChunkValues) -> tuple[np.ndarray, np.ndarray]:
    """Sort the values of a chunk: their table, and each value's rank, int64; of others any rank."""
    ordered = to_ordered(chunk.values)
    table = np.unique(ordered[chunk.valid])
    return table, np.searchsorted(table, ordered).clip(max=len(table) - 1)


def _rank_on_grid(chunk: ChunkValues, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Find table and ranks of values that lie about on a grid, without sorting; None of other values.

    Args:
        chunk: the values.
        sample: from ``_sample_values``.
    """
    gaps = _differences(sample, chunk.values.dtype)
    width = float(chunk.high) - float(chunk.low)
    gap = float(gaps.min(initial=math.inf))
    if not gaps.size or not gap * (MAX_FIXED - 2) > width:
        return None
    n_gaps = round(width / gap)
    origin, spacing = float(chunk.low), width / n_gaps
    values = chunk.values
    if chunk.has_gaps:
        values = np.where(chunk.valid, values, values.dtype.type(chunk.low))

    rank = rank_by_kernel if serves(values.dtype) else rank_in_slots
    ranked = rank(values, origin, spacing, n_gaps + 1)
    return None if ranked is None else (to_ordered(ranked[0]), ranked[1])


def rank_in_slots(
    values: np.ndarray, origin: float, spacing: float, n_slots: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rank finite values of which each has a slot of its own on a grid.

    Args:
        values: (z, y, x).
        origin: of the grid.
        spacing: of the grid.
        n_slots: number of slots, the first of which is at the origin.

    Returns:
        The different values in order, (n,), and the ranks, int32 (z, y, x); None where two share a slot.
    """

    def to_slots(values: np.ndarray) -> np.ndarray:
        return np.rint((values.astype(np.float64) - origin) / spacing)

    slots = map_slabs(to_slots, values, dtype=np.intp)
    patterns = bit_patterns(values)
    of_slot = np.zeros(n_slots, patterns.dtype)
    of_slot[slots] = patterns
    if not (of_slot.take(slots) == patterns).all():
        return None
    is_used = np.zeros(n_slots, bool)
    is_used[slots] = True
    return of_slot[is_used].view(values.dtype), (np.cumsum(is_used) - 1).astype(np.int32).take(slots)


def rank_by_kernel(
    values: np.ndarray, origin: float, spacing: float, n_slots: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rank float32 values by the kernel; see ``rank_in_slots``, its specification."""
    values = np.ascontiguousarray(values)
    patterns, numbers = np.empty(n_slots, np.uint32), np.empty(n_slots, np.int32)
    ranks = np.empty(values.shape, np.int32)
    arguments = (values.size, values, float(origin), float(spacing), n_slots, patterns, numbers, ranks)
    n_used = call_on_host("nvc_rank_on_grid", *arguments, result=ctypes.c_int64)
    return (patterns[:n_used].view(np.float32), ranks) if n_used else None


def encode_ranks(ranked: RankedValues, plan: Plan | None = None) -> bytes:
    """Code values by a table and ranks.

    Args:
        ranked: the values.
        plan: of their volume; a new one if None.
    """
    stream, _ = encode_lattice(plan or plan_stream(ranked.volume))
    return encode_varints(len(ranked.table), len(ranked.packed_table)) + ranked.packed_table + stream


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
