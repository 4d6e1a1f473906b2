"""The entropy model: every block names a class, a class names a frequency table for every latent.

A block's class says how large its latents are likely to be, so that quiet blocks cost next to nothing. The
encoder picks the class that costs the fewest bits, and decides each latent's integer by rate and distortion;
the decoder follows, with integers only.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nvc_jax.entropy import rans
from nvc_jax.spectral.dependent_quantization import from_half_steps

BITS_PER_ERROR = 6.0
"""Bits that one squared step of error is worth: the slope of rate against distortion at high rates."""
_FIRST_ABOVE, _FURTHER_ABOVE = (0.6, 1.0), 0.6
"""From which magnitudes on latents are ones, and from which remainders one more, to find a block's class."""
_TURNS = (0, 1)
"""Places, even or odd ones, whose classes are chosen given those between: more turns change little."""
_COARSER = 1.35
"""How many steps of one quantiser are a step of two that leave about as much error."""


class ClassModel(NamedTuple):
    """Parameters of the entropy model for blocks of 512 latents, Q quantisers, K classes and R tables.

    Attributes:
        frequencies: uint16 (Q·R + K, 64), the tables: R that latents share, by quantiser, and one for each
            class's means.
        bits: float32 (R, 3): what a zero costs by each table, a one of either sign, each further step, if
            latents are rounded to whole steps.
        shrink: float32 (Q·R, 2): how far the mean of what a one, and a larger magnitude, stands for lies
            towards zero, in steps.
        order: int32 (511,), latents but the mean in the order in which they are coded.
        tables: int32 (K, 512), each class's table for each latent; the mean's, latent 0, is Q·R + class.
        end_frequencies: uint16 (K, 64), each class's table of where its blocks' last integers lie.
        mode_frequencies: uint16 (K, 64), of the modes of regions, by the class of their first block.
        class_frequencies: uint16 (K + 1, 64), of classes, by the class before; K is none.
        class_bits: float32 (K,), what naming a class costs on average.
    """

    frequencies: jax.Array
    bits: jax.Array
    shrink: jax.Array
    order: jax.Array
    tables: jax.Array
    end_frequencies: jax.Array
    mode_frequencies: jax.Array
    class_frequencies: jax.Array
    class_bits: jax.Array

    @property
    def n_shared(self) -> int:
        """Q·R, the tables that latents share."""
        return self.shrink.shape[0]

    @property
    def n_quantizers(self) -> int:
        """Q, 1 or 2: see ``quantizers``."""
        return self.n_shared // self.bits.shape[0]

    def row(self, table: jax.Array, quantizer: jax.Array | int) -> jax.Array:
        """Where a latent's table lies among all, for an integer of a quantiser."""
        return table + quantizer * self.bits.shape[0]


def plain_steps(model: ClassModel) -> float:
    """How many steps of a single quantiser, of about the same error, a step of the model's is."""
    return 1.0 if model.n_quantizers == 1 else _COARSER


def bits_per_error(model: ClassModel) -> float:
    """Bits that one squared step of the model's is worth."""
    return BITS_PER_ERROR * plain_steps(model) ** 2


def abstract_class_model(n_latents: int, n_classes: int, n_tables: int, n_quantizers: int) -> ClassModel:
    """Shapes and dtypes of a class model."""
    n_shared = n_quantizers * n_tables

    def leaf(dtype: Any, *shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype)

    return ClassModel(
        frequencies=leaf(jnp.uint16, n_shared + n_classes, rans.N_TOKENS),
        bits=leaf(jnp.float32, n_tables, 3),
        shrink=leaf(jnp.float32, n_shared, 2),
        order=leaf(jnp.int32, n_latents - 1),
        tables=leaf(jnp.int32, n_classes, n_latents),
        end_frequencies=leaf(jnp.uint16, n_classes, rans.N_TOKENS),
        mode_frequencies=leaf(jnp.uint16, n_classes, rans.N_TOKENS),
        class_frequencies=leaf(jnp.uint16, n_classes + 1, rans.N_TOKENS),
        class_bits=leaf(jnp.float32, n_classes),
    )


def round_above(values: jax.Array, first: jax.Array, further: jax.Array) -> jax.Array:
    """Round |values| to integers, int32: to at least 1 from ``first`` on, then up from ``further`` on."""
    magnitude = jnp.abs(values)
    rounded = jnp.maximum(jnp.floor(magnitude + 1 - further), 1)
    rounded = jnp.where(magnitude < first, 0, jnp.minimum(rounded, rans.MAX_MAGNITUDE))
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


def make_costs(model: ClassModel) -> Costs:
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


def settle(model: ClassModel, bits: jax.Array, order: jax.Array, n_blocks: jax.Array) -> jax.Array:
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
    name = rans.PRECISION - jnp.log2(jnp.maximum(frequencies, 0.5))
    name_after = jnp.pad(name[:n_classes].T, ((0, 1), (0, 0)))  # after none that count nothing is named
    ordered = bits[order]
    found = jnp.argmin(ordered + model.class_bits[None], axis=1).astype(jnp.int32)
    for parity in _TURNS:
        around = jnp.pad(jnp.where(place < n_blocks, found, n_classes), 1, constant_values=n_classes)
        before, after = around[:-2][parity::2], around[2:][parity::2]
        total = ordered[parity::2] + name[before] + name_after[after]
        found = found.at[parity::2].set(jnp.argmin(total, axis=1).astype(jnp.int32))
    return jnp.zeros_like(found).at[order].set(found)


def restore(model: ClassModel, points: jax.Array, classes: jax.Array) -> jax.Array:
    """What points (n, 512), int32 in half steps, stand for, float32 in steps: a little towards zero."""
    n_tables = model.bits.shape[0]
    tables = jnp.minimum(model.tables, n_tables - 1)
    not_mean = (jnp.arange(tables.shape[1]) > 0)[None]
    is_one = jnp.abs(from_half_steps(points)) == 1
    shrink: jax.Array | int = 0
    for quantizer in range(model.n_quantizers):
        one, more = (
            jnp.where(not_mean, model.shrink[model.row(tables, quantizer), kind], 0)[classes]
            for kind in range(2)
        )
        own = jnp.where(is_one, one, more)
        shrink = own if quantizer == 0 else jnp.where(points & 1 == 1, own, shrink)
    shrink = jnp.where(points == 0, 0, shrink)
    return points.astype(jnp.float32) / 2 - jnp.sign(points).astype(jnp.float32) * shrink
