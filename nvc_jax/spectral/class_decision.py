"""Choice of each block's class, and integers by rate and distortion."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.entropy import frequency_tables, tokens
from nvc_jax.spectral.entropy_model import BITS_PER_ERROR, EntropyModel

_FIRST_ABOVE, _FURTHER_ABOVE = (0.6, 1.0), 0.6
"""From which magnitudes on latents are ones, and from which remainders one more, to find a block's class."""
_TURNS = (0, 1)
"""Places, even or odd ones, whose classes are chosen given those between: more turns change little."""


def round_above(values: jax.Array, first: jax.Array, further: jax.Array) -> jax.Array:
    """Round |values| to integers, int32: to at least 1 from ``first`` on, then up from ``further`` on."""
    magnitude = jnp.abs(values)
    rounded = jnp.maximum(jnp.floor(magnitude + 1 - further), 1)
    rounded = jnp.where(magnitude < first, 0, jnp.minimum(rounded, tokens.MAX_MAGNITUDE))
    return (jnp.sign(values) * rounded).astype(jnp.int32)


class Costs(NamedTuple):
    """What deciding needs of a model, prepared once.

    Attributes:
        weights: float32 (1024, K), bits of [is not zero, magnitude] of every latent.
        constants: float32 (K,), bits of a block of zeros.
        names: float32 (K,), bits of naming the class, on average.
        first_above: float32 (K, 512), magnitudes from which a one is worth its bits.
        further_above: float32 (K, 512), remainders from which a further step is.
    """

    weights: jax.Array
    constants: jax.Array
    names: jax.Array
    first_above: jax.Array
    further_above: jax.Array


def make_costs(model: EntropyModel) -> Costs:
    """Prepare deciding. The mean is left out: it is coded as a difference, whatever the class."""
    n_tables = model.bits.shape[0]
    zero, first, further = (model.bits[jnp.minimum(model.tables, n_tables - 1), kind] for kind in range(3))
    not_mean = (jnp.arange(model.tables.shape[1]) > 0).astype(jnp.float32)[None]
    weights = [bits * not_mean for bits in (first - zero - further, further)]
    # An integer is worth it where it saves more error than its bits cost.
    first_above = jnp.minimum(0.5 + (first - zero) / (2 * BITS_PER_ERROR), 1.3)
    further_above = jnp.minimum(0.5 + further / (2 * BITS_PER_ERROR), 1.0)
    return Costs(
        weights=jnp.concatenate(weights, axis=1).T,
        constants=jnp.sum(zero * not_mean, axis=1),
        names=model.class_bits,
        first_above=jnp.where(not_mean > 0, first_above, 0.5),
        further_above=jnp.where(not_mean > 0, further_above, 0.5),
    )


def bits_by_class(costs: Costs, integers: jax.Array) -> jax.Array:
    """What integers of one quantiser, int32 (n, 512), would cost in each class, without its name; (n, K)."""
    magnitude = jnp.abs(integers).astype(jnp.float32)
    features = jnp.concatenate([jnp.minimum(magnitude, 1), magnitude], axis=1)
    return features @ costs.weights + costs.constants[None]


def weigh(costs: Costs, values: jax.Array) -> jax.Array:
    """What blocks would cost in each class, about: bits without its name and the mean's.

    Args:
        costs: of the entropy model.
        values: float32 (n, 512), latents in steps of one quantiser.

    Returns:
        float32 (n, K).
    """
    # Rounding that keeps little leads to quiet classes that keep little, and the other way round: try both.
    found = []
    for first in _FIRST_ABOVE:
        integers = round_above(values, jnp.float32(first), jnp.float32(_FURTHER_ABOVE))
        bits = bits_by_class(costs, integers)
        errors = jnp.sum((values - integers.astype(jnp.float32))[:, 1:] ** 2, axis=1)
        found.append((jnp.min(bits + costs.names[None], axis=1) + BITS_PER_ERROR * errors, bits))
    (worth, bits), (other_worth, other_bits) = found
    return jnp.where((other_worth < worth)[:, None], other_bits, bits)


def round_as(costs: Costs, values: jax.Array, classes: jax.Array) -> jax.Array:
    """Integers of one quantiser that are worth their bits in blocks' classes, int32 (n, 512)."""
    return round_above(values, costs.first_above[classes], costs.further_above[classes])


def decide(costs: Costs, values: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Choose classes, and integers of one quantiser, for blocks whose neighbours are not known.

    Args:
        costs: of the entropy model.
        values: float32 (n, 512), latents in steps of one quantiser.

    Returns:
        int32 (n, 512) integers, int32 (n,) classes, and float32 (n,) bits without the means', about.
    """
    bits = weigh(costs, values) + costs.names[None]
    classes = jnp.argmin(bits, axis=1).astype(jnp.int32)
    return round_as(costs, values, classes), classes, jnp.min(bits, axis=1)


def settle(model: EntropyModel, bits: jax.Array, order: jax.Array, n_blocks: jax.Array) -> jax.Array:
    """Choose classes of blocks one after another: what a name costs depends on the one before.

    Args:
        model: the entropy model.
        bits: float32 (n, K), of ``weigh``.
        order: int32 (n,), blocks in the order in which they are coded.
        n_blocks: int32, how many of ``order`` there are.

    Returns:
        int32 (n,). Every second block's class is the cheapest one between its neighbours', by turns.
    """
    n_classes, place = len(model.tables), jnp.arange(len(order), dtype=jnp.int32)
    frequencies = model.class_frequencies[:, :n_classes].astype(jnp.float32)
    name = frequency_tables.PRECISION - jnp.log2(jnp.maximum(frequencies, 0.5))
    name_after = jnp.pad(name[:n_classes].T, ((0, 1), (0, 0)))  # after none that count nothing is named
    ordered = bits[order]
    found = jnp.argmin(ordered + model.class_bits[None], axis=1).astype(jnp.int32)
    for parity in _TURNS:
        around = jnp.pad(jnp.where(place < n_blocks, found, n_classes), 1, constant_values=n_classes)
        before, after = around[:-2][parity::2], around[2:][parity::2]
        total = ordered[parity::2] + name[before] + name_after[after]
        found = found.at[parity::2].set(jnp.argmin(total, axis=1).astype(jnp.int32))
    return jnp.zeros_like(found).at[order].set(found)
