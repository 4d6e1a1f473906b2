"""Walk through the labels of a volume: slice by slice, in batches of items whose intervals are known.

A slice goes in *batches* of BATCH items: first its blocks, each of which equals the slice before or not, then
the voxels of the blocks that do not, pass by pass. An item is one of up to four symbols:

- 0: the label is that of the slice before (a block: equals it)
- 1: the label is the second candidate (a block: does not equal it)
- 2: it is the third candidate
- 3: it is none of the three, and the next of the *escaped labels*, which are stored apart

Encoder and decoder walk through the same batches. Only the step that gets the symbols differs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.compaction import compact
from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy.intervals import PRECISION, WHOLE
from nvc_jax.entropy.label_contexts import (
    BLOCK,
    N_CONTEXTS,
    PASSES,
    Slices,
    Voxels,
    candidate_probabilities,
    change_probabilities,
    examine_voxels,
    find_candidate,
    flag_contexts,
    flag_probabilities,
    learn,
)

BATCH = 128
"""Items of a batch; part of the format, because counts change after each batch."""
_SIZES = np.array([len(p.y) for p in PASSES], np.int32)
_DISTANCES = np.array([p.distance for p in PASSES], np.int32)
_KNOWN = np.array([p.known for p in PASSES], np.int32)
_LONGEST = int(_SIZES.max())
_ROWS = np.array([p.y + [0] * (_LONGEST - len(p.y)) for p in PASSES], np.int32)
_COLUMNS = np.array([p.x + [0] * (_LONGEST - len(p.x)) for p in PASSES], np.int32)


class Volume(NamedTuple):
    """Properties of a volume that encoder and decoder know.

    Attributes:
        shape: int32 (3,), valid shape, slices first.
        repeats: bool (slices,), slices that equal the one before.
        n_labels: int32, number of different labels; the labels are below it.
    """

    shape: Any
    repeats: Any
    n_labels: Any


class Batch(NamedTuple):
    """A batch of items.

    Attributes:
        ends: uint32 (3, BATCH), ends of the intervals of the symbols, see ``intervals``.
        n_items: int32, number of items.
        candidates: uint8 (3, BATCH), labels that the symbols 0, 1 and 2 stand for.
        position: (slice, y, x), int32; y and x are (BATCH,).
        is_valid: bool (BATCH,), items that are coded.
    """

    ends: jax.Array
    n_items: jax.Array
    candidates: jax.Array
    position: tuple[jax.Array, jax.Array, jax.Array]
    is_valid: jax.Array


Source = Any
"""State of what the symbols come from."""
GetSymbols = Callable[[Source, Batch, bool], tuple[Source, jax.Array, jax.Array]]
"""Step that gets the symbols of a batch, int32 (BATCH,), and their labels, uint8 (BATCH,).

It takes the state of its source, the batch, and whether the items are blocks, which have no labels.
"""


class _State(NamedTuple):
    """State of the walk through a slice.

    Attributes:
        source: of the symbols.
        counts: int32 (contexts, 2), see ``label_contexts.learn``.
        slices: the labels so far.
    """

    source: Source
    counts: jax.Array
    slices: Slices


def padded_sides(shape: Shape3) -> Shape3:
    """Enlarge a shape so that its slices consist of whole blocks."""
    return shape[0], -(-shape[1] // BLOCK) * BLOCK, -(-shape[2] // BLOCK) * BLOCK


def max_batches(padded_shape: Shape3) -> int:
    """Number of batches that a volume has at most."""
    depth, height, width = padded_sides(padded_shape)
    n_blocks = height * width // BLOCK**2
    return depth * sum(-(-n_blocks * int(size) // BATCH) for size in (1, *_SIZES))


def walk(padded_shape: Shape3, volume: Volume, source: Source, get: GetSymbols) -> tuple[Source, jax.Array]:
    """Go through a volume; return the source and the labels, uint8 (slices, y, x), of whole blocks."""
    depth, height, width = padded_sides(padded_shape)
    grid = (height // BLOCK, width // BLOCK)
    empty = jnp.zeros((height, width), jnp.uint8)
    counts = jnp.zeros((N_CONTEXTS, 2), jnp.int32)
    start = _State(source, counts, Slices(empty, empty, empty))
    labels = jnp.zeros((depth, height, width), jnp.uint8)

    def code_slice(index: jax.Array, carry: tuple) -> tuple:
        state, flags, labels = carry
        state, flags = _code_flags(state, flags, index, volume, grid, get)
        state = _code_voxels(state, flags, index, volume, get)
        _, before, current = state.slices
        labels = lax.dynamic_update_slice(labels, current[None], (index, jnp.int32(0), jnp.int32(0)))
        return state._replace(slices=Slices(before, current, current)), flags, labels

    carry = (start, jnp.zeros(grid, bool), labels)
    state, _, labels = lax.fori_loop(0, volume.shape[0], code_slice, carry)
    return state.source, labels


def _code_flags(
    state: _State,
    flags: jax.Array,
    index: jax.Array,
    volume: Volume,
    grid: tuple[int, int],
    get: GetSymbols,
) -> tuple[_State, jax.Array]:
    """Code which blocks of a slice differ from the slice before: bool (blocks y, blocks x)."""
    n_blocks = grid[0] * grid[1]
    contexts = flag_contexts(state.slices.before, flags, volume.shape[1:])
    count = jnp.where(volume.repeats[index], 0, n_blocks)

    def code(batch_index: jax.Array, carry: tuple) -> tuple:
        source, counts, flags = carry
        first = batch_index * BATCH
        item = first + jnp.arange(BATCH, dtype=jnp.int32)
        y, x = item // grid[1] * BLOCK, item % grid[1] * BLOCK
        is_valid = (item < n_blocks) & (y < volume.shape[1]) & (x < volume.shape[2])
        context = contexts.at[item].get(mode="clip")
        split = jnp.where(is_valid, WHOLE - flag_probabilities(counts, context), WHOLE)
        ends = jnp.stack([split, jnp.full_like(split, WHOLE), jnp.full_like(split, WHOLE)])
        no_candidates = jnp.zeros((3, BATCH), jnp.uint8)
        batch = Batch(ends, jnp.minimum(count - first, BATCH), no_candidates, (index, y, x), is_valid)
        source, symbols, _ = get(source, batch, True)
        differs = symbols > 0
        flags = flags.at[jnp.where(is_valid, item, n_blocks)].set(differs, mode="drop")
        return source, learn(counts, context[None], differs[None], is_valid[None]), flags

    carry = (state.source, state.counts, jnp.zeros(n_blocks, bool))
    source, counts, flags = lax.fori_loop(0, -(-count // BATCH), code, carry)
    return state._replace(source=source, counts=counts), flags.reshape(grid)


def _code_voxels(
    state: _State, flags: jax.Array, index: jax.Array, volume: Volume, get: GetSymbols
) -> _State:
    """Code the voxels of the blocks of a slice that differ from the slice before."""
    blocks, n_blocks = compact(flags.reshape(-1))
    sizes, rows, columns = jnp.asarray(_SIZES), jnp.asarray(_ROWS), jnp.asarray(_COLUMNS)
    shifts = jnp.asarray(np.log2(_SIZES).astype(np.int32))
    height, width = volume.shape[1], volume.shape[2]

    def code_pass(number: jax.Array, state: _State) -> _State:
        size = sizes[number]
        count = n_blocks * size

        def code(batch_index: jax.Array, state: _State) -> _State:
            item = batch_index * BATCH + jnp.arange(BATCH, dtype=jnp.int32)
            block = blocks.at[item >> shifts[number]].get(mode="clip")
            y = block // flags.shape[1] * BLOCK + rows[number, item & (size - 1)]
            x = block % flags.shape[1] * BLOCK + columns[number, item & (size - 1)]
            is_valid = (item < count) & (y < height) & (x < width)
            distance, known = jnp.asarray(_DISTANCES)[number], jnp.asarray(_KNOWN)[number]
            voxels = examine_voxels(state.slices, y, x, distance, known, volume.shape[1:])
            n_items = jnp.minimum(count - batch_index * BATCH, BATCH)
            return _code_batch(state, voxels, (index, y, x), is_valid, n_items, volume.n_labels, get)

        return lax.fori_loop(0, -(-count // BATCH), code, state)

    return lax.fori_loop(0, len(_SIZES), code_pass, state)


def _code_batch(
    state: _State,
    voxels: Voxels,
    position: tuple[jax.Array, jax.Array, jax.Array],
    is_valid: jax.Array,
    count: jax.Array,
    n_labels: jax.Array,
    get: GetSymbols,
) -> _State:
    """Code a batch of voxels, and learn from it."""
    _, y, x = position
    changes = change_probabilities(state.counts, voxels)
    kept = WHOLE - changes
    whole = jnp.full_like(kept, WHOLE)
    others, contexts, ends = lax.cond(
        n_labels > 2,
        lambda: _several_candidates(state.counts, voxels, kept),
        lambda: (
            jnp.stack([1 - voxels.labels] * 2),
            jnp.zeros((2, BATCH), jnp.int32),
            jnp.stack([kept, whole, whole]),
        ),
    )
    ends = jnp.where(is_valid[None], ends, jnp.uint32(WHOLE))
    batch = Batch(ends, count, jnp.concatenate([voxels.labels[None], others]), position, is_valid)
    source, symbols, labels = get(state.source, batch, False)

    contexts = jnp.concatenate([jnp.stack([voxels.broad, voxels.narrow]), contexts])
    least = jnp.array([[0], [0], [1], [2]], jnp.int32)
    counted = is_valid[None] & (symbols[None] >= least) & ((least == 0) | (n_labels > 2))
    counts = learn(state.counts, contexts, symbols[None] > least, counted)
    current = state.slices.current
    current = current.at[jnp.where(is_valid, y, len(current)), x].set(labels, mode="drop")
    return _State(source, counts, state.slices._replace(current=current))


def _several_candidates(
    counts: jax.Array, voxels: Voxels, kept: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Find the second and the third candidate, their contexts, and the ends of the intervals."""
    second, second_context = find_candidate(voxels, [voxels.labels])
    third, third_context = find_candidate(voxels, [voxels.labels, second])
    wrong = candidate_probabilities(counts, second_context)
    wrong_again = candidate_probabilities(counts, third_context)

    rest = WHOLE - kept
    second_size = 1 + ((rest - 3) * (WHOLE - wrong) >> jnp.uint32(PRECISION))
    rest = rest - second_size
    third_size = 1 + ((rest - 2) * (WHOLE - wrong_again) >> jnp.uint32(PRECISION))
    ends = jnp.stack([kept, kept + second_size, kept + second_size + third_size])
    return jnp.stack([second, third]), jnp.stack([second_context, third_context]), ends
