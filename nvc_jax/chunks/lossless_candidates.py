"""Candidates that keep every value: ranks in a table, differences and packed values."""

from collections.abc import Iterator

from nvc_jax.chunks.candidates import Candidate
from nvc_jax.chunks.payload import Payload, PayloadKind
from nvc_jax.chunks.prepared_chunk import BodyValues
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.core.dtypes import is_float, is_long_integer
from nvc_jax.core.shapes import check_shape

LOSSLESS_SHARE = 1 / 4
"""Share of the chunk's own bytes above which the smallest body makes lossless coding worth trying."""


def exact_candidate(kind: PayloadKind, body: bytes, values: BodyValues) -> Candidate:
    """Make a candidate of a body that is known to be lossless."""
    shape = check_shape(values.chunk.values.shape)
    return Candidate(Payload(kind, shape, 0.0, body, values.special_values), 0.0)


def lossless_candidates(
    values: BodyValues, target: ChunkTarget, smallest_cost: float, leaves_differences: bool
) -> Iterator[Candidate]:
    """Code a chunk in the lossless ways that may be cheaper than others.

    Args:
        values: the values.
        target: bound and step.
        smallest_cost: of the others, as of ``Candidate``.
        leaves_differences: whether differences may be of use; they are of none where a lattice is exact.
    """
    dtype, is_lossless = values.chunk.values.dtype, target.max_error == 0
    is_dear = smallest_cost > 8 * values.chunk.values.nbytes * LOSSLESS_SHARE
    may_have_ranks = is_lossless or (is_dear and target.max_error is None)
    if may_have_ranks and (is_float(dtype) or is_long_integer(dtype)) and values.ranks is not None:
        yield exact_candidate(PayloadKind.RANKS, values.ranks, values)
    if is_lossless or is_dear:
        if leaves_differences:
            yield exact_candidate(PayloadKind.DIFFERENCES, values.differences, values)
        yield exact_candidate(PayloadKind.PACKED, values.packed, values)
