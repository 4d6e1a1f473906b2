"""Kernel of the costs of blocks in all classes for GPUs; ``class_decision`` has its specification.

A program takes some blocks. Their integers, by both dead zones, and the features of these stay in registers:
XLA writes all of them to memory and reads them again.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax.core.group_kernels import (
    load_tile,
    load_where,
    multiply_tiles,
    run_tiles,
    store_where,
    this_tile,
    tile_indices,
    tile_side,
)
from nvc_jax.spectral.fixed_point import MAGNITUDE_BITS, to_fixed_by_floor
from nvc_jax.spectral.group_coefficients import FloatCoefficients, SplitCoefficients
from nvc_jax.spectral.weighted_sums import MAX_COUNT, N_BFLOAT16_PARTS, PART_BITS, parts_of_weights

TILE_BLOCKS, TILE_COEFFICIENTS = 64, 16
"""Blocks of one program, and coefficients of each that are taken at a time."""
_WARPS = 8
_NEVER = 1 << 30
"""Cost of a class that does not exist."""


class Rule(NamedTuple):
    """Numbers that decide the integers of a block and their costs.

    Attributes:
        single_steps: steps of one quantiser in each step of the values.
        thresholds: two magnitudes from which a coefficient becomes 1, and the remainder from which it becomes
            one more; in 1/128 step.
        error_weight: cost of a squared error of 1/128 step.
        error_shift: bits by which this cost is shifted.
    """

    single_steps: float
    thresholds: tuple[int, int, int]
    error_weight: int
    error_shift: int


class _Sums(NamedTuple):
    """Sums over the coefficients of a tile of blocks, for one dead zone.

    Attributes:
        parts: float32 (blocks, classes), for each part of weights.
        squared: int32 (blocks,), squared errors.
    """

    parts: tuple[jax.Array, ...]
    squared: jax.Array


def class_costs(
    rule: Rule,
    values: jax.Array,
    weights: jax.Array,
    zero_cost: jax.Array,
    signalling_cost: jax.Array,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Estimate the costs of blocks in every class.

    Args:
        rule: static.
        values: float32 (n, 512), coefficients in steps.
        weights: int32 (1024, K), of ``class_decision.DecisionCosts``.
        zero_cost: int32 (K,), of these.
        signalling_cost: int32 (K,), of these.
        interpret: run the kernel by ``jax.numpy``, on any device, for tests.

    Returns:
        int32 (n, K).
    """
    parts = divide_weights(weights)
    n_blocks, n_classes = len(values), len(zero_cost)
    costs: jax.Array = run_tiles(
        partial(_find_costs, rule),
        (-(-n_blocks // TILE_BLOCKS),),
        jax.ShapeDtypeStruct((n_blocks, n_classes), jnp.int32),
        *(FloatCoefficients(jnp.transpose(values)), parts, zero_cost, signalling_cost),
        n_warps=_WARPS,
        interpret=interpret,
    )
    return costs


def divide_weights(weights: jax.Array) -> jax.Array:
    """Divide weights, int32 (1024, K), into parts, bfloat16 (parts, 1024, K)."""
    return jnp.stack(parts_of_weights(weights, N_BFLOAT16_PARTS)).astype(jnp.bfloat16)


def _find_costs(
    rule: Rule, values: FloatCoefficients, weights: Any, zero_cost: Any, signalling_cost: Any, costs: Any
) -> None:
    """Estimate the costs of a tile of blocks.

    Args:
        rule: of the costs.
        values: of all blocks.
        weights: bfloat16 (parts, 1024, K).
        zero_cost: int32 (K,).
        signalling_cost: int32 (K,).
        costs: int32 (n, K), the result.
    """
    (tile,) = this_tile(1)
    block, n_classes = tile_indices(tile, TILE_BLOCKS), costs.shape[1]
    chosen = costs_of_tile(rule, values, weights, zero_cost, signalling_cost, block)
    index = (block[:, None], tile_indices(0, chosen.shape[1])[None])
    block, of_class = (jnp.broadcast_to(number, chosen.shape) for number in index)
    store_where(costs, (block, of_class), chosen, (block < costs.shape[0]) & (of_class < n_classes))


def costs_of_tile(
    rule: Rule,
    values: FloatCoefficients | SplitCoefficients,
    weights: Any,
    zero_cost: Any,
    signalling_cost: Any,
    block: jax.Array,
) -> jax.Array:
    """Estimate the costs of blocks, int32 (TILE_BLOCKS,), within a kernel.

    Other arguments are those of ``_find_costs``. Blocks that do not exist have values of 0.

    Returns:
        int32 (TILE_BLOCKS, classes); classes from K on are arbitrary.
    """
    n_coefficients, n_classes = values.shape[0], zero_cost.shape[0]
    classes = tile_indices(0, tile_side(n_classes, n_classes))
    shape = (TILE_BLOCKS, len(classes))

    def add(part: jax.Array, sums: tuple[_Sums, _Sums]) -> tuple[_Sums, ...]:
        coefficient = tile_indices(part, TILE_COEFFICIENTS)
        places = (coefficient[:, None], block[None])
        index = [jnp.broadcast_to(place, (TILE_COEFFICIENTS, TILE_BLOCKS)) for place in places]
        steps = values.load(*index) * jnp.float32(rule.single_steps)
        magnitude = jnp.abs(to_fixed_by_floor(steps))
        of_nonzero, of_step = (
            [load_tile(weights, coefficient + first, classes, jnp.int32(n)) for n in range(N_BFLOAT16_PARTS)]
            for first in (0, n_coefficients)
        )
        *firsts, further = rule.thresholds
        rounded = jnp.maximum(magnitude + (1 << MAGNITUDE_BITS) - further >> MAGNITUDE_BITS, 1)
        is_first = (coefficient == 0)[:, None]

        def add_integers(first: int, of: _Sums) -> _Sums:
            integers = jnp.where(magnitude < first, 0, rounded)
            return _add_integers(integers, magnitude, is_first, of_nonzero, of_step, of)

        return tuple(add_integers(first, of) for first, of in zip(firsts, sums, strict=True))

    none = jnp.zeros(shape, jnp.float32)
    start = _Sums((none,) * N_BFLOAT16_PARTS, jnp.zeros(TILE_BLOCKS, jnp.int32))
    sums = lax.fori_loop(0, n_coefficients // TILE_COEFFICIENTS, add, (start, start))

    exists = classes < n_classes
    of_zeros = load_where(zero_cost, (classes,), exists)[None]
    of_signalling = jnp.where(exists, load_where(signalling_cost, (classes,), exists), _NEVER)[None]
    units = [
        of_zeros + sum(part.astype(jnp.int32) << n * PART_BITS for n, part in enumerate(of.parts))
        for of in sums
    ]
    narrow, wide = (
        jnp.min(of_units + of_signalling, axis=1) + (of.squared * rule.error_weight >> rule.error_shift)
        for of_units, of in zip(units, sums, strict=True)
    )
    return jnp.where((wide < narrow)[:, None], units[1], units[0])


def _add_integers(
    integers: jax.Array,
    magnitude: jax.Array,
    is_first: jax.Array,
    of_nonzero: list[jax.Array],
    of_step: list[jax.Array],
    sums: _Sums,
) -> _Sums:
    """Add integers, int32 (coefficients, blocks), of some magnitudes; first coefficients have no error."""
    counted = jnp.minimum(integers, MAX_COUNT)
    nonzero = jnp.minimum(counted, 1).astype(jnp.float32).astype(jnp.bfloat16)
    counted = counted.astype(jnp.float32).astype(jnp.bfloat16)
    parts = tuple(
        part
        + multiply_tiles(nonzero, first, transposes_left=True)
        + multiply_tiles(counted, step, transposes_left=True)
        for part, first, step in zip(sums.parts, of_nonzero, of_step, strict=True)
    )
    error = magnitude - (integers << MAGNITUDE_BITS)
    squared = jnp.where(is_first, 0, jnp.minimum(error * error, 1 << 2 * MAGNITUDE_BITS))
    return _Sums(parts, sums.squared + jnp.sum(squared, axis=0, dtype=jnp.int32))
