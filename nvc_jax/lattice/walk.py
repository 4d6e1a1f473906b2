"""Walk over the lattice: level by level and phase by phase, with prediction before and codes after each.

Encoder and decoder share it. They differ in how the codes of a pass are found.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.geometry import (
    CELL,
    HALO,
    N_LEVEL_GROUPS,
    N_LEVELS,
    N_PASSES,
    PHASES,
    array_shape,
)
from nvc_jax.lattice.prediction import (
    MAX_CONTEXT_MAGNITUDE,
    PHASE_BITS,
    PHASE_NUMBERS,
    Pass,
    Rules,
    predictor,
    range_context,
)


class Coder(NamedTuple):
    """Source of the codes.

    Attributes:
        start: takes a group of levels, a level and what the level before carried on, and returns the state
            of the level: a tuple whose first entry is carried on to the next level.
        code: takes the state and a pass; returns the state, the codes, and any output.
    """

    start: Callable[[int, jax.Array | int, Any], tuple]
    code: Callable[[tuple, Pass], tuple[tuple, jax.Array, Any]]


def walk_levels(
    lattice: Shape3, anchors: jax.Array, weights: jax.Array, rules: Rules, coder: Coder, carried: Any
) -> tuple[jax.Array, Any, list[Any]]:
    """Walk over all levels.

    Args:
        lattice: shape of the lattice.
        anchors: int32 (z, y, x), decoded values of the anchors.
        weights: int32 (N_LEVEL_GROUPS, 7, N_GROUPS).
        rules: the other parameters of prediction.
        coder: source of the codes.
        carried: passed on from level to level.

    Returns:
        The decoded values, int32 lattice; what the last level carried; the outputs of each group of levels,
        from the finest: for each of its levels, from the coarsest, and each pass.
    """
    last = N_LEVEL_GROUPS - 1
    shape = array_shape(lattice, last)

    def coarse(carry: tuple, level: jax.Array) -> tuple:
        values, carried = carry
        sides = jnp.array(lattice, jnp.int32) >> (level + 1)
        even = _repeat_ends(values[tuple(slice(0, side) for side in shape)], sides)
        state = coder.start(last, level, carried)
        values, state, output = walk_level(even, weights[last], rules, level, sides, coder.code, state)
        return (values, state[0]), output

    output: Any
    values = jnp.pad(anchors, [(0, 2 * side - n) for side, n in zip(shape, anchors.shape, strict=True)])
    levels = jnp.arange(N_LEVELS - 1, last - 1, -1, dtype=jnp.int32)
    (values, carried), output = lax.scan(coarse, (values, carried), levels)
    outputs = [output]
    for group in reversed(range(last)):
        state = coder.start(group, group, carried)
        values, (carried, *_), output = walk_level(
            values, weights[group], rules, group, None, coder.code, state
        )
        outputs.insert(0, jax.tree.map(lambda array: array[None], output))
    return values, carried, outputs


def walk_level(
    even: jax.Array,
    weights: jax.Array,
    rules: Rules,
    level: jax.Array | int,
    sides: jax.Array | None,
    code: Callable[[Any, Pass], tuple[Any, jax.Array, Any]],
    state: Any,
) -> tuple[jax.Array, Any, Any]:
    """Predict the phases of a level one after the other, given each time the codes of those before.

    Args:
        even: int32 (z, y, x), values of the level above.
        weights: int32 (7, N_GROUPS), weights of each phase's groups of neighbours.
        rules: the other parameters.
        level: number of the level.
        sides: int32 (3,), sides of a phase if they are smaller than the array's; else None.
        code: takes the state and a pass; returns the state, the codes, and any output.
        state: the first state.

    Returns:
        The values of the level (2z, 2y, 2x), the last state, and the outputs, stacked.
    """
    shape = even.shape
    extended = tuple(side + 2 * HALO for side in shape)

    def step(carry: tuple, index: jax.Array) -> tuple:
        values, magnitudes, state = carry
        branches = [lambda *_: (even, range_context(even, rules))]
        branches += [predictor(number) for number in range(len(PHASES))]
        row = lax.dynamic_index_in_dim(weights, jnp.maximum(index - 1, 0), keepdims=False)
        predicted, context = lax.switch(index, branches, values, magnitudes, row, rules)
        items = _items(shape, index, rules, level, sides)
        state, codes, output = code(state, Pass(index, predicted, context, items))

        codes = jnp.where(index > 0, codes, 0)
        found = predicted + (codes << rules.fraction_bits)
        phase = jnp.array(PHASE_NUMBERS)[index]
        values = _store(values, found, phase, sides)
        magnitudes = _store(magnitudes, jnp.minimum(jnp.abs(codes), MAX_CONTEXT_MAGNITUDE), phase, sides)
        return (values, magnitudes, state), output

    empty = jnp.zeros((8, *extended), jnp.int32) + even.reshape(-1)[0] * 0
    outputs: Any
    carry, outputs = lax.scan(step, (empty, empty, state), jnp.arange(N_PASSES, dtype=jnp.int32))
    values = carry[0][:, HALO:-HALO, HALO:-HALO, HALO:-HALO]
    whole = values.reshape(2, 2, 2, *shape).transpose(3, 0, 4, 1, 5, 2)
    return whole.reshape([2 * side for side in shape]), carry[2], outputs


def cells_of(origins: jax.Array) -> jax.Array:
    """Spread what the first point of each cell says, bool (z, y, x), over the cell."""
    cells = origins[::CELL, ::CELL, ::CELL]
    spread = jnp.broadcast_to(cells[:, None, :, None, :, None], [n for k in cells.shape for n in (k, CELL)])
    return spread.reshape(origins.shape)


def _items(
    shape: tuple[int, ...],
    index: jax.Array,
    rules: Rules,
    level: jax.Array | int,
    sides: jax.Array | None,
) -> jax.Array:
    """Mark the items of a pass, bool of ``shape``; see ``Pass``."""
    parities = jnp.array(PHASE_BITS)[index]
    masks = []
    for axis, side in enumerate(shape):
        position = jnp.arange(side, dtype=jnp.int32)
        mask = (2 * position + parities[axis] << level) < rules.valid[axis]
        if sides is not None:
            mask &= position < sides[axis]
        masks.append(mask & ((index > 0) | (position % CELL == 0)))
    return masks[0][:, None, None] & masks[1][None, :, None] & masks[2][None, None, :]


def _store(phases: jax.Array, values: jax.Array, phase: jax.Array, sides: jax.Array | None) -> jax.Array:
    """Store a phase with its halo: the values next to each end, mirrored."""
    if sides is None:
        extended = jnp.pad(values, HALO, mode="symmetric")
    else:
        extended = values
        for axis, side in enumerate(values.shape):
            index, end = jnp.arange(-HALO, side + HALO, dtype=jnp.int32), sides[axis]
            index = jnp.where(index < 0, -1 - index, jnp.where(index >= end, 2 * end - 1 - index, index))
            extended = jnp.take(extended, jnp.clip(index, 0, end - 1), axis=axis, mode="clip")
    return lax.dynamic_update_index_in_dim(phases, extended, phase, 0)


def _repeat_ends(values: jax.Array, sides: jax.Array) -> jax.Array:
    """Replace what is beyond ``sides`` by the values next to the ends."""
    for axis, side in enumerate(values.shape):
        index = jnp.minimum(jnp.arange(side, dtype=jnp.int32), sides[axis] - 1)
        values = jnp.take(values, index, axis=axis, mode="clip")
    return values
