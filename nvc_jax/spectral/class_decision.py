"""Rate-distortion decisions: the class of each block, and integers of one quantiser.

Classes and integers depend on each other. Which integers are worth their bits depends on the class's tables,
and which class is cheapest depends on the integers. The encoder therefore decides in three steps:

1. ``class_costs`` rounds every block with a fixed dead zone and counts the bits of the result in all classes
   at once.
2. ``class_choice`` picks classes. A class is coded given the class of the block before it, so the choice
   weighs a block's own bits and the signalling costs of it and of its successor.
3. ``quantize_for_classes`` rounds every coefficient again with the dead zone of its table: an integer is kept
   where it saves more error than its bits are worth.

Models of two quantisers replace step 3 by ``trellis``.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.batching import map_rows
from nvc_jax.native.dispatch import call, on_cpu
from nvc_jax.spectral import group_class_costs
from nvc_jax.spectral.dead_zone import round_with_dead_zone
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import BITS_PER_SQUARED_STEP, EntropyModel, weights_of_features
from nvc_jax.spectral.fixed_point import MAGNITUDE_BITS, to_fixed
from nvc_jax.spectral.group_class_costs import Rule
from nvc_jax.spectral.weighted_sums import MAX_COUNT, PART_BITS, weighted_sums

_ROUNDING = 0.5
"""Threshold of rounding to the nearest integer."""
COST_UNITS = 1024
"""Units of a bit in the costs of classes, which are integers."""
_CLASS_THRESHOLDS = (77, 128, 77)
"""Dead zones by which a block is rounded to find its class, in 1/128 step: two magnitudes from which a
coefficient becomes 1, and the remainder from which it becomes one more.

A wide dead zone favours classes of low energy, whose own dead zones are wide; a narrow one does the opposite.
So both are tried."""
_ROUNDING_THRESHOLDS = (64, 64, 64)
"""The same without optimisation: rounding to the nearest integer."""
_MAX_NONZERO_WEIGHT, _MAX_STEP_WEIGHT = 32767, 125 << PART_BITS
"""Largest weights, in units: sums of both over a block stay below 2**24, in each of the two parts."""
_PAIR_SHIFT = 16
"""Bits of the first number of a pair of weights."""
_MAX_COST = 1 << 24
"""Largest cost of a block of zeros, and of signalling, in units."""
_ERROR_SHIFT = 3
_ERROR_WEIGHT = round(BITS_PER_SQUARED_STEP * COST_UNITS / (1 << 2 * MAGNITUDE_BITS) * (1 << _ERROR_SHIFT))
"""Cost of a squared error of 1/128 step, in units shifted by _ERROR_SHIFT bits."""
_MAX_FIRST_THRESHOLD, _MAX_FURTHER_THRESHOLD = 1.3, 1.0
"""Largest thresholds of a table: they limit the error in steps, whatever a table's bits."""


class DecisionCosts(NamedTuple):
    """Costs and thresholds of a model in the form that decisions use, prepared once.

    Attributes:
        tables: int32 (K, 512), each class's table of each coefficient, one of R + 1: the last is that of DC,
            which does not count.
        pairs: int32 (512, K), units that a coefficient adds in a class: for [magnitude > 0] in the lower 16
            bits, and for each step of the magnitude in the upper ones. All costs are in units of 1/1024 bit.
        zero_cost: int32 (K,), of a block of zeros.
        signalling_cost: int32 (K,), average of each class.
        signalling_bits: float32 (K,), the same in bits.
        first_thresholds: float32 (R + 1,), magnitudes from which a one is worth its bits.
        further_thresholds: float32 (R + 1,), remainders from which one more is worth its bits.
    """

    tables: jax.Array
    pairs: jax.Array
    zero_cost: jax.Array
    signalling_cost: jax.Array
    signalling_bits: jax.Array
    first_thresholds: jax.Array
    further_thresholds: jax.Array

    @property
    def weights(self) -> jax.Array:
        """Units of each coefficient for [magnitude > 0], and then for each step: int32 (1024, K)."""
        return jnp.concatenate([self.pairs << _PAIR_SHIFT >> _PAIR_SHIFT, self.pairs >> _PAIR_SHIFT])


def make_decision_costs(model: EntropyModel, options: EncoderOptions = DEFAULT_OPTIONS) -> DecisionCosts:
    """Prepare decisions. DC does not count: it is coded as a difference, whatever the class."""
    zero, one, further = model.bits.T
    of_nonzero, of_step = weights_of_features(zero, one, further)
    if options.optimizes_integers:
        # An integer is worth its bits where it saves more error than they are worth.
        first_thresholds = jnp.minimum(
            _ROUNDING + (one - zero) / (2 * BITS_PER_SQUARED_STEP), _MAX_FIRST_THRESHOLD
        )
        further_thresholds = jnp.minimum(
            _ROUNDING + further / (2 * BITS_PER_SQUARED_STEP), _MAX_FURTHER_THRESHOLD
        )
    else:
        first_thresholds = further_thresholds = jnp.full_like(zero, _ROUNDING)
    units_of_nonzero = _to_units(of_nonzero, -_MAX_NONZERO_WEIGHT, _MAX_NONZERO_WEIGHT)
    units_of_step = _to_units(of_step, 0, _MAX_STEP_WEIGHT)
    pairs = jnp.pad(pair_weights(units_of_nonzero, units_of_step), (0, 1))
    tables = jnp.minimum(model.tables, len(zero))
    zero_bits = jnp.sum(jnp.pad(zero, (0, 1))[tables], axis=1)
    return DecisionCosts(
        tables=tables,
        pairs=pairs[tables].T,
        zero_cost=_to_units(zero_bits, 0, _MAX_COST),
        signalling_cost=_to_units(model.class_bits, 0, _MAX_COST),
        signalling_bits=model.class_bits,
        first_thresholds=jnp.pad(first_thresholds, (0, 1), constant_values=_ROUNDING),
        further_thresholds=jnp.pad(further_thresholds, (0, 1), constant_values=_ROUNDING),
    )


def pair_weights(of_nonzero: jax.Array, of_step: jax.Array) -> jax.Array:
    """Pack weights for [magnitude > 0] and for each step, int32 of 16 bits, as ``DecisionCosts.pairs``."""
    return of_nonzero & (1 << _PAIR_SHIFT) - 1 | of_step << _PAIR_SHIFT


def _to_units(bits: jax.Array, low: int, high: int) -> jax.Array:
    """Convert bits to units, int32 from ``low`` to ``high``."""
    return jnp.clip(jnp.round(bits * COST_UNITS), low, high).astype(jnp.int32)


def costs_by_class(costs: DecisionCosts, magnitudes: jax.Array) -> jax.Array:
    """Count the units of integers of one quantiser in every class, int32 (n, K).

    DC and the signalling of the class are left out.

    Args:
        costs: of the entropy model.
        magnitudes: int32 (n, 512), of the integers.
    """
    counted = jnp.minimum(magnitudes, MAX_COUNT)
    features = jnp.concatenate([jnp.minimum(counted, 1), counted], axis=1)
    return weighted_sums(features, costs.weights) + costs.zero_cost[None]


def class_rule(options: EncoderOptions, single_steps: float) -> Rule:
    """Get the numbers that decide the integers and costs of ``class_costs``."""
    thresholds = _CLASS_THRESHOLDS if options.optimizes_integers else _ROUNDING_THRESHOLDS
    return Rule(single_steps, thresholds, _ERROR_WEIGHT, _ERROR_SHIFT)


def class_costs(
    costs: DecisionCosts,
    values: jax.Array,
    options: EncoderOptions = DEFAULT_OPTIONS,
    single_steps: float = 1.0,
) -> jax.Array:
    """Estimate the costs of blocks in every class, DC and the signalling of the class left out.

    Args:
        costs: of the entropy model.
        values: float32 (n, 512), coefficients in steps.
        options: of the encoder.
        single_steps: steps of one quantiser in each of these steps.

    Returns:
        int32 (n, K), in units of 1/COST_UNITS bit.
    """
    rule = class_rule(options, single_steps)
    kernel = partial(_class_costs_by_kernel, thresholds=rule.thresholds, single_steps=single_steps)

    def reference(costs: DecisionCosts, values: jax.Array) -> jax.Array:
        def of_rows(rows: jax.Array) -> jax.Array:
            return class_costs_reference(costs, rows * np.float32(single_steps), rule.thresholds)

        return map_rows(of_rows, values)

    def gpu(costs: DecisionCosts, values: jax.Array) -> jax.Array:
        weights = (costs.weights, costs.zero_cost, costs.signalling_cost)
        return group_class_costs.class_costs(rule, values, *weights)

    return on_cpu(kernel, reference, costs, values, gpu=gpu)


def _class_costs_by_kernel(
    costs: DecisionCosts, values: jax.Array, *, thresholds: tuple[int, int, int], single_steps: float
) -> jax.Array:
    """Estimate costs by the native kernel."""
    result = jax.ShapeDtypeStruct((len(values), len(costs.zero_cost)), jnp.int32)
    numbers = dict(zip(("narrow", "wide", "further"), map(np.int32, thresholds), strict=True))
    arguments = (costs.pairs, costs.zero_cost, costs.signalling_cost, values)
    return call("nvc_class_costs", result, *arguments, **numbers, single_steps=np.float32(single_steps))


def class_costs_reference(
    costs: DecisionCosts, values: jax.Array, thresholds: tuple[int, int, int]
) -> jax.Array:
    """Estimate costs in ``jax.numpy``: the specification of the kernel; see ``class_costs``.

    Args:
        costs: of the entropy model.
        values: float32 (n, 512), coefficients in steps of one quantiser.
        thresholds: two magnitudes from which a coefficient becomes 1, of which each block takes the better
            one, and the remainder from which it becomes one more; in 1/128 step.
    """
    magnitudes = jnp.abs(to_fixed(values))
    *first_thresholds, further = thresholds
    rounded = jnp.maximum(magnitudes + (1 << MAGNITUDE_BITS) - further >> MAGNITUDE_BITS, 1)
    firsts = np.array(first_thresholds, np.int32)[:, None, None]
    integers = jnp.where(magnitudes[None] < firsts, 0, rounded[None])
    units = costs_by_class(costs, integers.reshape(-1, values.shape[1])).reshape(*integers.shape[:2], -1)
    errors = (magnitudes[None] - (integers << MAGNITUDE_BITS))[:, :, 1:]
    squared = jnp.sum(jnp.minimum(errors**2, 1 << 2 * MAGNITUDE_BITS), axis=2, dtype=jnp.int32)
    least = jnp.min(units + costs.signalling_cost[None, None], axis=2)
    narrow, wide = least + (squared * _ERROR_WEIGHT >> _ERROR_SHIFT)
    return jnp.where((wide < narrow)[:, None], units[1], units[0])


def quantize_for_classes(costs: DecisionCosts, values: jax.Array, classes: jax.Array) -> jax.Array:
    """Round coefficients (n, 512) to integers of one quantiser, int32, if these are worth their bits."""
    tables = costs.tables[classes]
    return round_with_dead_zone(values, costs.first_thresholds[tables], costs.further_thresholds[tables])


def choose_independently(
    costs: DecisionCosts, values: jax.Array, options: EncoderOptions = DEFAULT_OPTIONS
) -> tuple[jax.Array, jax.Array]:
    """Choose classes for blocks whose neighbours are not known.

    Args:
        costs: of the entropy model.
        values: float32 (n, 512), coefficients in steps of one quantiser.
        options: of the encoder.

    Returns:
        int32 (n,) classes, and float32 (n,) estimated bits without DC.
    """
    bits = class_costs(costs, values, options).astype(jnp.float32) / COST_UNITS + costs.signalling_bits[None]
    return jnp.argmin(bits, axis=1).astype(jnp.int32), jnp.min(bits, axis=1)


def quantize_independently(
    costs: DecisionCosts, values: jax.Array, options: EncoderOptions = DEFAULT_OPTIONS
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Choose classes, and integers of one quantiser, for blocks whose neighbours are not known.

    Arguments are those of ``choose_independently``.

    Returns:
        int32 (n, 512) integers, and what ``choose_independently`` returns.
    """
    classes, bits = choose_independently(costs, values, options)
    return quantize_for_classes(costs, values, classes), classes, bits
