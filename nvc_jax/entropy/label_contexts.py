"""Contexts of labels: probabilities of a voxel's label, from labels that are known already.

A slice is predicted from the slice before it. Its voxels are coded from coarse to fine, in PASSES, so that
each voxel of a fine pass lies between neighbours that are known. Neighbours that are not known yet count as
they were in the slice before.

The probability that a voxel differs from the slice before is learned from the voxels so far, in two kinds of
contexts: *broad* ones, which are few and learned soon, give the starting point of *narrow* ones. All
arithmetic is on integers, so that encoder and decoder agree on every device.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.entropy.intervals import PRECISION, WHOLE

BLOCK = 16
"""Side of the blocks of a slice. Blocks that equal the slice before are marked and not coded any further."""
N_CLASSES = 4
"""Classes of passes by the neighbours that are known: none; diagonal; along the axes; all eight."""


class Pass(NamedTuple):
    """Voxels of a block that are coded together.

    Attributes:
        distance: of the neighbours that the context takes from the slice itself, in voxels.
        known: class of the pass, 0 … 3.
        y, x: positions in the block.
    """

    distance: int
    known: int
    y: list[int]
    x: list[int]


def _passes() -> list[Pass]:
    """Passes from coarse to fine; each voxel of a block is in one of them."""

    def pass_of(distance: int, known: int, starts: list[tuple[int, int]], stride: int) -> Pass:
        steps = range(0, BLOCK, stride)
        positions = [(y + i, x + j) for y, x in starts for i in steps for j in steps]
        return Pass(distance, known, [y for y, _ in positions], [x for _, x in positions])

    passes = [pass_of(1, 0, [(0, 0)], BLOCK)]
    for d in (8, 4, 2):
        passes += [pass_of(d, 1, [(d, d)], 2 * d), pass_of(d, 2, [(0, d), (d, 0)], 2 * d)]
    return [
        *passes,
        *(pass_of(1, 1 + i, [start], 2) for i, start in enumerate([(1, 1), (0, 1), (1, 0)])),
    ]


PASSES = _passes()
"""Passes of a block."""

_DY = np.array([-1, 1, 0, 0, -1, -1, 1, 1], np.int32)
_DX = np.array([0, 0, -1, 1, -1, 1, -1, 1], np.int32)
"""Offsets of the eight neighbours in a slice: four along the axes, then four diagonal ones."""
_N_KNOWN = np.array([0, 4, 4, 8])
"""Known neighbours of each class."""
_STARTING = np.array([13107, 6554, 3277, 1311])
"""Starting probability, in 1/65536, that a voxel differs though all known neighbours agree; by class."""
_MOST = 58982
"""Largest starting probability, in 1/65536."""
_STARTING_FLAG = 19661
"""Starting probability, in 1/65536, that a block differs from the slice before."""
_NARROW_WEIGHT = 4
"""Voxels that the probability of the broad context counts as, in a narrow context."""
_COUNT_BITS = 15
"""Bits of the counts that a probability is computed from; larger counts are shifted."""

_N_BROAD = N_CLASSES * 9 * 9 * 4
_N_NARROW = N_CLASSES * 16 * 5 * 5 * 5 * 4
_N_CANDIDATE = N_CLASSES * 9 * 9
_N_FLAG = 2 * 2 * 5
_BROAD, _NARROW, _SECOND, _THIRD, _FLAG, N_CONTEXTS = itertools.accumulate(
    [0, _N_BROAD, _N_NARROW, _N_CANDIDATE, _N_CANDIDATE, _N_FLAG]
)
"""First contexts: broad and narrow ones of voxels, those of second and third candidates, those of blocks."""


def _starting_probabilities() -> np.ndarray:
    """Starting probabilities that a voxel differs, int32 (classes · 9,), by class and missing agreement."""
    missing = np.arange(9)[None]
    rise = missing * _MOST // np.maximum(_N_KNOWN, 1)[:, None]
    return np.minimum(_STARTING[:, None] + rise, _MOST).astype(np.int32).reshape(-1)


def learn(counts: jax.Array, contexts: jax.Array, answers: jax.Array, counted: jax.Array) -> jax.Array:
    """Count answers.

    Args:
        counts: int32 (N_CONTEXTS, 2), for each context its items, and those whose answer was yes. They are in
            one array, for which XLA makes no copies.
        contexts: int32 (k, n), contexts.
        answers: bool (k, n).
        counted: bool (k, n), items that count.

    Returns:
        The new counts.
    """
    contexts = jnp.where(counted, contexts, N_CONTEXTS).reshape(-1)
    updates = jnp.stack([jnp.ones_like(contexts), answers.reshape(-1).astype(jnp.int32)], axis=1)
    return counts.at[contexts].add(updates, mode="drop")


def _probabilities(counts: jax.Array, contexts: jax.Array, start: jax.Array, weight: int) -> jax.Array:
    """Probability of yes in contexts, uint32 (n,) in 1/65536, given starting ones and their weight."""
    totals, ones = counts[contexts].astype(jnp.uint32).T
    shift = jnp.maximum(jnp.uint32(32 - _COUNT_BITS), lax.clz(totals)) - lax.clz(totals)
    totals, ones = totals >> shift, ones >> shift
    return ((ones << jnp.uint32(PRECISION)) + weight * start) // (totals + jnp.uint32(weight))


class Slices(NamedTuple):
    """Labels of the slice that is coded, and of those before it.

    Attributes:
        earlier: uint8 (y, x), two slices before.
        before: uint8 (y, x), one slice before.
        current: uint8 (y, x), the slice itself; labels of ``before`` where it is not known yet.
    """

    earlier: jax.Array
    before: jax.Array
    current: jax.Array


class Voxels(NamedTuple):
    """Contexts of the voxels of a batch.

    Attributes:
        labels: uint8 (n,), those of the slice before, the first candidates.
        neighbours: uint8 (16, n), labels of the neighbours in the slice, then in the slice before.
        known: int32, the class of the pass.
        missing: int32 (n,), known neighbours that have another label.
        broad, narrow: int32 (n,), contexts.
    """

    labels: jax.Array
    neighbours: jax.Array
    known: jax.Array
    missing: jax.Array
    broad: jax.Array
    narrow: jax.Array


def examine_voxels(
    slices: Slices, y: jax.Array, x: jax.Array, distance: jax.Array, known: jax.Array, valid: jax.Array
) -> Voxels:
    """Find the contexts of voxels.

    Args:
        slices: the labels.
        y: int32 (n,), positions of the voxels along y.
        x: int32 (n,), those along x.
        distance: int32, of the neighbours in the slice.
        known: int32, the class of the pass.
        valid: int32 (2,), sides of the valid part of a slice; what lies beyond counts as its edge.
    """
    width = slices.before.shape[1]

    def around(plane: jax.Array, distance: jax.Array | int) -> jax.Array:
        rows = jnp.clip(y[None] + jnp.asarray(_DY)[:, None] * distance, 0, valid[0] - 1)
        columns = jnp.clip(x[None] + jnp.asarray(_DX)[:, None] * distance, 0, valid[1] - 1)
        return plane.reshape(-1)[rows * width + columns]

    position = y * width + x
    labels = slices.before.reshape(-1)[position]
    in_slice, in_before = around(slices.current, distance), around(slices.before, jnp.int32(1))
    agrees, agreed = (
        (in_slice == labels[None]).astype(jnp.int32),
        (in_before == labels[None]).astype(jnp.int32),
    )

    axis_bits, diagonal_bits = _to_bits(agrees[:4]), _to_bits(agrees[4:])
    n_axis, n_diagonal = jnp.sum(agrees[:4], axis=0), jnp.sum(agrees[4:], axis=0)
    near = jnp.where(known == 1, diagonal_bits, jnp.where(known == 0, 15, axis_bits))
    n_known = jnp.where(known == 1, n_diagonal, n_axis) + jnp.where(known == 3, n_diagonal, 0)
    missing = jnp.where(known == 0, 0, jnp.asarray(_N_KNOWN, jnp.int32)[known] - n_known)

    was_stable = (slices.earlier.reshape(-1)[position] == labels).astype(jnp.int32)
    history = 2 * (labels == 0).astype(jnp.int32) + was_stable
    before_axis, before_diagonal = jnp.sum(agreed[:4], axis=0), jnp.sum(agreed[4:], axis=0)
    broad = ((known * 9 + before_axis + before_diagonal) * 9 + missing) * 4 + history
    narrow = (known * 16 + near) * 5 + jnp.where(known == 3, n_diagonal, 0)
    narrow = ((narrow * 5 + before_axis) * 5 + before_diagonal) * 4 + history
    broad, narrow = broad + _BROAD, narrow + _NARROW
    neighbours = jnp.concatenate([in_slice, in_before])
    return Voxels(labels, neighbours, known, missing, broad, narrow)


def _to_bits(flags: jax.Array) -> jax.Array:
    """Combine flags (4, n) of 0 and 1 to numbers, int32 (n,); the first flag is the lowest bit."""
    return jnp.sum(flags << jnp.arange(4, dtype=jnp.int32)[:, None], axis=0, dtype=jnp.int32)


def change_probabilities(counts: jax.Array, voxels: Voxels) -> jax.Array:
    """Probability that voxels differ from the slice before, uint32 (n,) in 1/65536, 3 to 65533."""
    start = jnp.asarray(_starting_probabilities())[voxels.known * 9 + voxels.missing].astype(jnp.uint32)
    start = _probabilities(counts, voxels.broad, start, 1)
    # Three symbols share the probability of a change: each needs a part of it.
    return jnp.clip(_probabilities(counts, voxels.narrow, start, _NARROW_WEIGHT), 3, WHOLE - 3)


def flag_probabilities(counts: jax.Array, contexts: jax.Array) -> jax.Array:
    """Probability that blocks differ from the slice before, uint32 (n,) in 1/65536, 3 to 65533."""
    start = jnp.full(contexts.shape, _STARTING_FLAG, jnp.uint32)
    return jnp.clip(_probabilities(counts, contexts, start, 1), 3, WHOLE - 3)


def candidate_probabilities(counts: jax.Array, contexts: jax.Array) -> jax.Array:
    """Probability that candidates are wrong, uint32 (n,) in 1/65536, at most 65535."""
    start = jnp.full(contexts.shape, WHOLE // 2, jnp.uint32)
    return jnp.minimum(_probabilities(counts, contexts, start, 1), WHOLE - 1)


def find_candidate(voxels: Voxels, others: list[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Find the next candidate for the labels of voxels: that of the first neighbour unlike all others.

    Args:
        voxels: the voxels.
        others: uint8 (n,), the candidates so far.

    Returns:
        The candidates, uint8 (n,): the smallest label unlike the others where no neighbour has one; and
        their contexts, int32 (n,).
    """
    fresh = jnp.ones(voxels.neighbours.shape, bool)
    smallest = jnp.zeros_like(voxels.labels)
    for _ in others:
        taken = jnp.stack([smallest == other for other in others]).any(axis=0)
        smallest = smallest + taken.astype(jnp.uint8)
    for other in others:
        fresh &= voxels.neighbours != other[None]
    first = jnp.argmax(fresh, axis=0)[None]
    found = jnp.take_along_axis(voxels.neighbours, first, axis=0)[0]
    candidate = jnp.where(jnp.any(fresh, axis=0), found, smallest)
    same = (voxels.neighbours == candidate[None]).astype(jnp.int32)
    context = (voxels.known * 9 + jnp.sum(same[:8], axis=0)) * 9 + jnp.sum(same[8:], axis=0)
    first_context = (_SECOND, _THIRD)[len(others) - 1]
    return candidate, first_context + context


def flag_contexts(before: jax.Array, flags: jax.Array, valid: jax.Array) -> jax.Array:
    """Contexts of the blocks of a slice, int32 (blocks,).

    Args:
        before: uint8 (y, x), the slice before.
        flags: bool (blocks y, blocks x), blocks of the slice before that differed from the one before it.
        valid: int32 (2,), sides of the valid part of a slice.
    """
    inside = (jnp.arange(before.shape[0])[:, None] < valid[0]) & (
        jnp.arange(before.shape[1])[None] < valid[1]
    )
    largest = _block_maxima(jnp.where(inside, before, jnp.uint8(0)))
    smallest = 255 - _block_maxima(jnp.where(inside, 255 - before, jnp.uint8(0)))
    is_uniform = (largest <= smallest).astype(jnp.int32)
    differed = flags.astype(jnp.int32)
    padded = jnp.pad(differed, 1)
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return (((is_uniform * 2 + differed) * 5 + around) + _FLAG).reshape(-1)


def _block_maxima(plane: jax.Array) -> jax.Array:
    """Largest number in each block and the voxels next to it, uint8 (blocks y, blocks x)."""
    for _ in range(2):
        rows = plane.reshape(-1, BLOCK, plane.shape[1])
        above = jnp.pad(rows[:-1, -1], ((1, 0), (0, 0)))
        below = jnp.pad(rows[1:, 0], ((0, 1), (0, 0)))
        plane = jnp.maximum(rows.max(axis=1), jnp.maximum(above, below)).T
    return plane
