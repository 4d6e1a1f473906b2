"""Rate-distortion decisions: the class of each block, and integers of one quantiser.

Classes and integers depend on each other. Which integers are worth their bits depends on the class's tables,
and which class is cheapest depends on the integers. The encoder therefore decides in three steps:

1. ``class_costs`` rounds every block with a fixed dead zone and counts the bits of the result in all classes
   at once, as one matrix product.
2. ``choose_classes`` picks classes. A class is coded given the class of the block before it, so the choice
   weighs a block's own bits and the signalling costs of it and of its successor.
3. ``quantize_for_classes`` rounds every coefficient again with the dead zone of its table: an integer is kept
   where it saves more error than its bits are worth.

Models of two quantisers replace step 3 by ``trellis``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.entropy import tokens
from nvc_jax.entropy.frequency_tables import bits_of_frequencies
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.entropy_model import BITS_PER_SQUARED_STEP, EntropyModel, weights_of_features

_ROUNDING = 0.5
"""Threshold of rounding to the nearest integer."""
_CLASS_FIRST_THRESHOLDS, _CLASS_FURTHER_THRESHOLD = (0.6, 1.0), 0.6
"""Dead zones by which a block is rounded to find its class: magnitudes from which a coefficient becomes 1,
and the remainder from which it becomes one more.

A wide dead zone favours classes of low energy, whose own dead zones are wide; a narrow one does the opposite.
So both are tried."""
_MAX_FIRST_THRESHOLD, _MAX_FURTHER_THRESHOLD = 1.3, 1.0
"""Largest thresholds of a table: they limit the error in steps, whatever a table's bits."""
_SWEEP_PARITIES = (0, 1)
"""Order of the sweeps: first even, then odd positions; each takes the cheapest class given its two
neighbours. Further sweeps gain little."""
_SMALLEST_FREQUENCY = 0.5
"""Frequency of classes whose table gives them none: their bits stay finite, and exceed those of all
others."""


def round_with_dead_zone(values: jax.Array, first: jax.Array, further: jax.Array) -> jax.Array:
    """Round towards zero with a dead zone.

    Args:
        values: float32, in steps.
        first: magnitude from which a value becomes at least 1; smaller ones become 0.
        further: remainder from which a larger magnitude is rounded up.

    Returns:
        int32, of the same shape.
    """
    magnitude = jnp.abs(values)
    rounded = jnp.maximum(jnp.floor(magnitude + 1 - further), 1)
    rounded = jnp.where(magnitude < first, 0, jnp.minimum(rounded, tokens.MAX_MAGNITUDE))
    return (jnp.sign(values) * rounded).astype(jnp.int32)


class DecisionCosts(NamedTuple):
    """Costs and thresholds of a model in the form that decisions use, prepared once.

    Attributes:
        feature_bits: float32 (1024, K), bits that each block feature adds in each class. Features are
            [magnitude > 0, magnitude] of all coefficients.
        zero_bits: float32 (K,), bits of a block of zeros.
        signalling_bits: float32 (K,), average signalling cost of each class.
        first_thresholds: float32 (K, 512), magnitudes from which a one is worth its bits.
        further_thresholds: float32 (K, 512), remainders from which one more is worth its bits.
    """

    feature_bits: jax.Array
    zero_bits: jax.Array
    signalling_bits: jax.Array
    first_thresholds: jax.Array
    further_thresholds: jax.Array


def make_decision_costs(model: EntropyModel, options: EncoderOptions = DEFAULT_OPTIONS) -> DecisionCosts:
    """Prepare decisions. DC does not count: it is coded as a difference, whatever the class."""
    n_tables = model.bits.shape[0]
    tables = jnp.minimum(model.tables, n_tables - 1)
    zero, one, further = (model.bits[tables, column] for column in range(3))
    is_not_dc = (jnp.arange(model.tables.shape[1]) > 0).astype(jnp.float32)[None]
    feature_bits = [bits * is_not_dc for bits in weights_of_features(zero, one, further)]

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
    return DecisionCosts(
        feature_bits=jnp.concatenate(feature_bits, axis=1).T,
        zero_bits=jnp.sum(zero * is_not_dc, axis=1),
        signalling_bits=model.class_bits,
        first_thresholds=jnp.where(is_not_dc > 0, first_thresholds, _ROUNDING),
        further_thresholds=jnp.where(is_not_dc > 0, further_thresholds, _ROUNDING),
    )


def bits_by_class(costs: DecisionCosts, integers: jax.Array) -> jax.Array:
    """Count the bits of integers of one quantiser, int32 (n, 512), in every class, float32 (n, K).

    DC and the signalling of the class are left out.
    """
    magnitude = jnp.abs(integers).astype(jnp.float32)
    features = jnp.concatenate([jnp.minimum(magnitude, 1), magnitude], axis=1)
    return features @ costs.feature_bits + costs.zero_bits[None]


def class_costs(
    costs: DecisionCosts, values: jax.Array, options: EncoderOptions = DEFAULT_OPTIONS
) -> jax.Array:
    """Estimate the bits of blocks in every class, DC and the signalling of the class left out.

    Args:
        costs: of the entropy model.
        values: float32 (n, 512), coefficients in steps of one quantiser.
        options: of the encoder.

    Returns:
        float32 (n, K).
    """
    first_thresholds, further = _CLASS_FIRST_THRESHOLDS, _CLASS_FURTHER_THRESHOLD
    if not options.optimizes_integers:
        first_thresholds, further = (_ROUNDING, _ROUNDING), _ROUNDING
    candidates = []
    for first in first_thresholds:
        integers = round_with_dead_zone(values, jnp.float32(first), jnp.float32(further))
        bits = bits_by_class(costs, integers)
        errors = jnp.sum((values - integers.astype(jnp.float32))[:, 1:] ** 2, axis=1)
        least_bits = jnp.min(bits + costs.signalling_bits[None], axis=1)
        candidates.append((least_bits + BITS_PER_SQUARED_STEP * errors, bits))
    (narrow_cost, narrow_bits), (wide_cost, wide_bits) = candidates
    return jnp.where((wide_cost < narrow_cost)[:, None], wide_bits, narrow_bits)


def quantize_for_classes(costs: DecisionCosts, values: jax.Array, classes: jax.Array) -> jax.Array:
    """Round coefficients (n, 512) to integers of one quantiser, int32, if these are worth their bits."""
    return round_with_dead_zone(values, costs.first_thresholds[classes], costs.further_thresholds[classes])


def quantize_independently(
    costs: DecisionCosts, values: jax.Array, options: EncoderOptions = DEFAULT_OPTIONS
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Choose classes, and integers of one quantiser, for blocks whose neighbours are not known.

    Args:
        costs: of the entropy model.
        values: float32 (n, 512), coefficients in steps of one quantiser.
        options: of the encoder.

    Returns:
        int32 (n, 512) integers, int32 (n,) classes, and float32 (n,) estimated bits without DC.
    """
    bits = class_costs(costs, values, options) + costs.signalling_bits[None]
    classes = jnp.argmin(bits, axis=1).astype(jnp.int32)
    return quantize_for_classes(costs, values, classes), classes, jnp.min(bits, axis=1)


def choose_classes(model: EntropyModel, bits: jax.Array, order: jax.Array, n_blocks: jax.Array) -> jax.Array:
    """Choose classes of blocks in sequence: the signalling cost of a class depends on the class before.

    Every block starts with the class that is cheapest by itself. Then the even positions, and after them the
    odd ones, take the cheapest class between their two neighbours.

    Args:
        model: the entropy model.
        bits: float32 (n, K), from ``class_costs``.
        order: int32 (n,), blocks in the order in which they are coded.
        n_blocks: int32, number of blocks in ``order`` that are coded.

    Returns:
        int32 (n,).
    """
    n_classes, position = len(model.tables), jnp.arange(len(order), dtype=jnp.int32)
    frequencies = model.class_frequencies[:, :n_classes].astype(jnp.float32)
    bits_given_before = bits_of_frequencies(jnp.maximum(frequencies, _SMALLEST_FREQUENCY))
    # After the last block no class is signalled.
    bits_of_after = jnp.pad(bits_given_before[:n_classes].T, ((0, 1), (0, 0)))

    ordered = bits[order]
    classes = jnp.argmin(ordered + model.class_bits[None], axis=1).astype(jnp.int32)
    for parity in _SWEEP_PARITIES:
        neighbours = jnp.pad(jnp.where(position < n_blocks, classes, n_classes), 1, constant_values=n_classes)
        before, after = neighbours[:-2][parity::2], neighbours[2:][parity::2]
        total = ordered[parity::2] + bits_given_before[before] + bits_of_after[after]
        classes = classes.at[parity::2].set(jnp.argmin(total, axis=1).astype(jnp.int32))
    return jnp.zeros_like(classes).at[order].set(classes)
