"""Compiled programs of the lattice coder: quantising a volume, coding its items, and decoding.

Each is compiled once for a shape of the lattice. The sides of the volume, which may be smaller, are
arguments.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.batching import varying_like
from nvc_jax.core.compaction import compact
from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.entropy import rans
from nvc_jax.entropy.frequency_tables import make_tables
from nvc_jax.entropy.passes import pop_pass
from nvc_jax.entropy.word_stream import WordStream
from nvc_jax.lattice import native_programs
from nvc_jax.lattice.geometry import N_LEVEL_GROUPS, N_LEVELS, N_PASSES, array_shape, phase_shape
from nvc_jax.lattice.prediction import CONTEXTS_PER_GROUP, N_RANGES, PHASE_NUMBERS, Pass, Rules
from nvc_jax.lattice.tables import FIRST_FLAG_CONTEXT
from nvc_jax.lattice.walk import Coder, cells_of, walk_levels
from nvc_jax.native.dispatch import on_cpu

MAX_LANES = 256
"""Most lanes of a stream."""
MAX_PASSES = N_LEVELS * N_PASSES
"""Passes of all levels."""


def capacity(lattice: Shape3) -> int:
    """Largest number of words of a stream."""
    return rans.capacity(max_items(lattice) + MAX_PASSES * MAX_LANES, MAX_LANES)


def max_items(lattice: Shape3) -> int:
    """Largest number of items of a volume: its points, and a flag for each cell."""
    return sum(N_PASSES * math.prod(phase_shape(lattice, level)) for level in range(N_LEVELS))


@jax.jit
def quantize(
    fixed: jax.Array, valid: jax.Array, anchors: jax.Array, weights: jax.Array, rules: Rules
) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
    """Quantise the differences of a volume's points from their predictions.

    Args:
        fixed: int32 lattice, the volume, with anything beyond its sides.
        valid: bool lattice, points that count; others decode to their predictions.
        anchors: int32 (z, y, x), decoded values of the anchors.
        weights: int32 (N_LEVEL_GROUPS, 7, N_GROUPS).
        rules: the other parameters of prediction.

    Returns:
        The decoded values, int32 lattice; and for each group of levels, from the finest, the codes, int32
        (levels, N_PASSES, z, y, x) with the finest level last, and their contexts, int16 likewise, of which
        those of the first pass are flags' contexts.
    """
    half = jnp.int32(1) << rules.fraction_bits >> 1

    def start(group: int, level: jax.Array | int, _: None) -> tuple[None, jax.Array, jax.Array]:
        return None, _phases_of(fixed, group, level), _phases_of(valid, group, level)

    def code(state: tuple[None, jax.Array, jax.Array], item: Pass) -> tuple[tuple, jax.Array, Any]:
        phase = jnp.array(PHASE_NUMBERS)[item.number]
        wanted, counts = (lax.dynamic_index_in_dim(of, phase, keepdims=False) for of in state[1:])
        codes = (wanted - item.predicted + half) >> rules.fraction_bits
        codes = jnp.where(item.items & (item.number > 0) & counts, codes, 0)
        return state, codes, (codes, item.context.astype(jnp.int16))

    values, _, outputs = walk_levels(
        check_shape(fixed.shape), anchors, weights, rules, Coder(start, code), None
    )
    return values, outputs


def _phases_of(volume: jax.Array, group: int, level: jax.Array | int) -> jax.Array:
    """Phases of a level of the group, (8, z, y, x) with the array's shape of the group."""
    points = volume[:: 1 << group, :: 1 << group, :: 1 << group]
    for axis, side in enumerate(points.shape):
        if group == N_LEVEL_GROUPS - 1:
            index = jnp.minimum(jnp.arange(side, dtype=jnp.int32) << (level - group), side - 1)
            points = jnp.take(points, index, axis=axis, mode="clip")
    z, y, x = (side // 2 for side in points.shape)
    return points.reshape(z, 2, y, 2, x, 2).transpose(1, 3, 5, 0, 2, 4).reshape(8, z, y, x)


@jax.jit
def push_items(
    rows: jax.Array,
    contexts: jax.Array,
    values: jax.Array,
    counts: jax.Array,
    n_lanes: jax.Array,
    frequencies: jax.Array,
) -> WordStream:
    """Code the items of all passes.

    Args:
        rows: int32 (N_CONTEXTS,), table of each context.
        contexts: uint16 (n,), of the items; the passes one after the other.
        values: int32 (n,).
        counts: int32 (MAX_PASSES,), items of each pass.
        n_lanes: int32.
        frequencies: uint16 (MAX_TABLES, N_TOKENS).
    """
    # In every pass a lane may have an item more than its share.
    capacity = rans.capacity(len(values) + MAX_PASSES * MAX_LANES, MAX_LANES)
    kernel = functools.partial(native_programs.push_items, max_lanes=MAX_LANES, capacity=capacity)
    reference = functools.partial(push_reference, capacity=capacity)
    return on_cpu(kernel, reference, rows, contexts, values, counts, n_lanes, frequencies)


def push_reference(
    rows: jax.Array,
    contexts: jax.Array,
    values: jax.Array,
    counts: jax.Array,
    n_lanes: jax.Array,
    frequencies: jax.Array,
    *,
    capacity: int,
) -> WordStream:
    """Code items in ``jax.numpy``: the specification of the kernel; see ``push_items``."""
    tables = make_tables(frequencies, with_slots=False)
    lane = jnp.arange(MAX_LANES, dtype=jnp.int32)
    starts = jnp.cumsum(counts, dtype=jnp.int32) - counts

    def push_pass(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
        index = len(counts) - 1 - backwards
        start, count = starts[index], counts[index]
        n_steps = -(-count // n_lanes)

        def push(backwards: jax.Array, coder: rans.Coder) -> rans.Coder:
            item = (n_steps - 1 - backwards) * n_lanes + lane
            active = (lane < n_lanes) & (item < count)
            row = rows[contexts.at[start + item].get(mode="clip")]
            return rans.push(coder, tables, row, values.at[start + item].get(mode="clip"), active)

        return lax.fori_loop(0, n_steps, push, coder)

    coder = varying_like(values, rans.start_encoding(n_lanes, MAX_LANES, capacity))
    coder = lax.fori_loop(0, len(counts), push_pass, coder)
    return rans.finish_encoding(coder, n_lanes)


@functools.partial(jax.jit, static_argnums=0)
def decode(
    lattice: Shape3,
    stream: WordStream,
    frequencies: jax.Array,
    rows: jax.Array,
    anchors: jax.Array,
    weights: jax.Array,
    rules: Rules,
) -> jax.Array:
    """Decode a volume; see ``quantize`` and ``push_items``.

    Args:
        lattice: shape of the lattice.
        stream: the coded items.
        frequencies: uint16 (MAX_TABLES, N_TOKENS).
        rows: int32 (N_CONTEXTS,), table of each context.
        anchors: int32 (z, y, x), decoded values of the anchors.
        weights: int32 (N_LEVEL_GROUPS, 7, N_GROUPS).
        rules: the other parameters of prediction.

    Returns:
        int32 lattice; values beyond the volume are arbitrary.
    """
    kernel = functools.partial(native_programs.decode, lattice)
    reference = functools.partial(decode_reference, lattice)
    return on_cpu(kernel, reference, stream, frequencies, rows, anchors, weights, rules)


def decode_reference(
    lattice: Shape3,
    stream: WordStream,
    frequencies: jax.Array,
    rows: jax.Array,
    anchors: jax.Array,
    weights: jax.Array,
    rules: Rules,
) -> jax.Array:
    """Decode a volume in ``jax.numpy``: the specification of the kernel; see ``decode``."""
    tables = make_tables(frequencies)
    coder = rans.start_decoding(stream)

    def start(group: int, _: jax.Array | int, coder: rans.Coder) -> tuple:
        return coder, jnp.zeros(array_shape(lattice, group), bool), jnp.int32(group)

    def code(state: tuple, item: Pass) -> tuple[tuple, jax.Array, None]:
        coder, inside, group = state
        is_flag = item.number == 0
        first = jnp.where(is_flag, FIRST_FLAG_CONTEXT + group * N_RANGES, group * CONTEXTS_PER_GROUP)
        coded = (item.items & (inside | is_flag)).reshape(-1)
        order, count = compact(coded)
        row = rows[first + item.context].reshape(-1)[order]
        coder, found = pop_pass(coder, tables, row, count, stream.n_lanes)
        codes = jnp.zeros_like(found).at[order].set(found, unique_indices=True).reshape(item.items.shape)
        inside = jnp.where(is_flag, cells_of(codes > 0), inside)
        return (coder, inside, group), codes, None

    return walk_levels(lattice, anchors, weights, rules, Coder(start, code), coder)[0]
